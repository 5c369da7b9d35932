"""Which lines of somebody's ``__getitem__`` the time goes to: its thread's stack, looked at every few milliseconds."""

from __future__ import annotations

import sys
import sysconfig
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from types import FrameType
from typing import NamedTuple, Self, TypeVar

from vaxseq.profile.meters import Queue

_INTERVAL_S = 0.002
_FOREIGN = (
    *{sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")},
    "<frozen",
    "<__array_function__",
)
_POOLS = ("multiprocessing", "concurrent", "joblib", "multiprocess", "subprocess")
# whose code a stack ends in -> what is going on there
_DOINGS = {
    "h5py": "reading HDF5", "tables": "reading HDF5", "netCDF4": "reading netCDF", "zarr": "reading Zarr",
    "pyarrow": "in Arrow", "fsspec": "reading remotely", "s3fs": "reading remotely", "gcsfs": "reading remotely",
    "botocore": "reading remotely", "urllib3": "reading remotely", "requests": "reading remotely",
    "socket": "reading remotely",
    "gzip": "decompressing", "zlib": "decompressing", "lzma": "decompressing", "bz2": "decompressing",
    "PIL": "decoding images", "cv2": "decoding images", "pandas": "in pandas", "vaex": "in vaex", "polars": "in polars",
}  # fmt: skip


class Line(NamedTuple):
    """A place in the user's own code."""

    file: str
    number: int
    function: str


class Seen(NamedTuple):
    """Seconds a line was seen in, how many of them it waited, and what went on below it ("" is the line itself)."""

    line: Line
    doing: str
    seconds: float
    waited_s: float


class Sampler:
    """Looks at the stack of the thread that entered it, while that is inside `watched`.

    A look counts for the time since the one before; what of that the thread spent neither running nor queueing for
    a processor, it waited.
    """

    def __init__(self) -> None:
        self._seconds: defaultdict[tuple[Line, str], float] = defaultdict(float)
        self._waited: defaultdict[tuple[Line, str], float] = defaultdict(float)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, name="vaxseq-profile", daemon=True)

    def __enter__(self) -> Self:
        self._target, self._queue = threading.get_ident(), Queue(threading.get_native_id())
        self._clock = time.pthread_getcpuclockid(self._target)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def seen(self) -> list[Seen]:
        """By time, the longest first."""
        found = [Seen(*place, seconds, self._waited[place]) for place, seconds in self._seconds.items()]
        return sorted(found, key=lambda one: -one.seconds)

    def _look(self) -> None:
        last = self._times()
        while not self._end.wait(_INTERVAL_S):
            frame = sys._current_frames().get(self._target)
            place = None if frame is None else _place(frame)
            del frame
            now = self._times()
            if place is not None:
                wall, busy, queued = (new - old for new, old in zip(now, last, strict=True))
                self._seconds[place] += wall
                self._waited[place] += max(0.0, wall - busy - queued)
            last = now

    def _times(self) -> tuple[float, float, float]:
        return time.perf_counter(), time.clock_gettime(self._clock), self._queue.seconds()


T = TypeVar("T")


def watched(read: Callable[[], T]) -> T:
    """Reads; a Sampler looks at what happens in here alone."""
    return read()


def _place(frame: FrameType | None) -> tuple[Line, str] | None:
    """The deepest line of the user's own code inside `watched`, and what it calls; None outside of it."""
    line: Line | None = None
    doing = ""
    while frame is not None and frame.f_code is not watched.__code__:
        if line is None:
            if frame.f_code.co_filename.startswith(_FOREIGN):
                doing = _doing(frame, doing)
            else:
                line = Line(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname)
        frame = frame.f_back
    return None if frame is None or line is None else (line, doing)


def _doing(frame: FrameType, below: str) -> str:
    package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    if package == "vaex":
        return _DOINGS[package]  # its pool is of threads
    if package in _POOLS or below == "waiting for processes":
        return "waiting for processes"
    return _DOINGS.get(package, below)  # the outermost library says it best: pandas reading through gzip is pandas
