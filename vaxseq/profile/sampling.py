"""Which lines of somebody's ``__getitem__`` the time goes to: the stack of a thread, looked at every few milliseconds."""

from __future__ import annotations

import sys
import sysconfig
import threading
import time
from collections import Counter
from types import FrameType
from typing import NamedTuple, Self

_INTERVAL_S = 0.002
_FOREIGN = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
_POOLS = ("multiprocessing", "concurrent", "joblib", "multiprocess", "subprocess")
# whose code a stack ends in -> what is going on there
_DOINGS = {
    "h5py": "reading HDF5", "tables": "reading HDF5", "netCDF4": "reading netCDF", "zarr": "reading Zarr",
    "pyarrow": "in Arrow", "fsspec": "reading remotely", "s3fs": "reading remotely", "gcsfs": "reading remotely",
    "botocore": "reading remotely", "urllib3": "reading remotely", "requests": "reading remotely", "socket": "reading remotely",
    "gzip": "decompressing", "zlib": "decompressing", "lzma": "decompressing", "bz2": "decompressing",
    "PIL": "decoding images", "cv2": "decoding images", "pandas": "in pandas", "vaex": "in vaex", "polars": "in polars",
}  # fmt: skip


class Line(NamedTuple):
    """A place in the user's own code."""

    file: str
    number: int
    function: str


class Seen(NamedTuple):
    """Seconds a line was seen in, and what went on below it ("" is the line itself)."""

    line: Line
    doing: str
    seconds: float


class Sampler:
    """Looks at the calling thread's stack while it is entered. A look counts for the time since the one before."""

    def __init__(self) -> None:
        self._seen: Counter[tuple[Line, str]] = Counter()
        self._end = threading.Event()
        self._target = threading.get_ident()
        self._looking = False
        self._thread = threading.Thread(target=self._look, name="vaxseq-profile", daemon=True)

    def __enter__(self) -> Self:
        self._bottom = sys._getframe(1)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        del self._bottom

    def seen(self) -> list[Seen]:
        """By time, the longest first."""
        return [Seen(line, doing, seconds) for (line, doing), seconds in self._seen.most_common()]

    def _look(self) -> None:
        last = time.perf_counter()
        while not self._end.wait(_INTERVAL_S):
            now = time.perf_counter()
            frame = sys._current_frames().get(self._target)
            if frame is not None:
                place = _place(frame, self._bottom)
                if place is not None:
                    self._seen[place] += now - last
            del frame
            last = now


def _place(frame: FrameType | None, bottom: FrameType) -> tuple[Line, str] | None:
    """The deepest line of the user's own code above ``bottom``, and what it calls."""
    doing = ""
    first: FrameType | None = None
    while frame is not None and frame is not bottom:
        first = first or frame
        file = frame.f_code.co_filename
        if file.startswith(_FOREIGN) or file.startswith("<"):
            doing = _doing(frame, doing)
        else:
            return Line(file, frame.f_lineno, frame.f_code.co_qualname), doing
        frame = frame.f_back
    if frame is None or first is None:  # the thread is elsewhere, or between two reads
        return None
    return Line(first.f_code.co_filename, first.f_lineno, first.f_code.co_qualname), doing


def _doing(frame: FrameType, below: str) -> str:
    package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    if package in _POOLS:
        return "waiting for processes"
    if below == "waiting for processes":
        return below
    # the outermost library says it best: pandas reading through gzip is pandas
    return _DOINGS.get(package, below)
