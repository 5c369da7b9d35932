"""Trying HDF5 files in another process first: on damaged bytes the C library may loop for ever, or crash.

As ``python -m vaxseq.dataset.hdf5_probe`` it visits whatever a reader may ask of the files named on its standard input:
links, attributes, shapes, the index of every chunked dataset, and all text of variable length, whose place in the file
the library looks up word by word. Contiguous numbers have nothing to be lost in, so their rows aren't read. It says
something after every step, so that a big file isn't taken for a broken one.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from vaxseq.dataset.hdf5_external import outside, unwritten
from vaxseq.errors import SourceError

LIMIT_S = 30.0  # without a word from the other process
_MAX_DEPTH = 5  # groups in groups; vaex's layout has four
_TEXT_ROWS = 1 << 14
_trusted: set[tuple[int, ...]] = set()
_outside: dict[tuple[int, ...], str] = {}  # what a file that was tried refers to outside of itself
_STEP, _DONE, _SAID, _OUTSIDE, _UNWRITTEN = b".", b"d", b"\n", b"o", b"u"
_LEFT_TO_THE_READER = suppress(Exception)  # it meets the same error and says what it means; the visit goes on


def trust(path: str | os.PathLike[str]) -> None:
    """Says that this process wrote the file, or has tried it, as it is now."""
    _trusted.add(_mark(path))


def _mark(path: str | os.PathLike[str]) -> tuple[int, ...]:
    about = os.stat(path)
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns


def check_files(paths: Iterable[str | os.PathLike[str]], *, allow_external: bool = False) -> None:
    """Returns when a reader may go on with these files: they can be read, or fail with an error of their own.

    Raises:
        SourceError: the HDF5 library doesn't come back from a file, or crashes on it; it has arrays in other files,
            unless ``allow_external``; it declares far more rows than were ever written.
    """
    paths = list(paths)
    if waiting := [path for path in paths if _mark(path) not in _trusted]:
        _try(waiting)
    for path in paths:
        if not allow_external and (found := _outside.get(_mark(path))):
            raise SourceError(
                f"{path}: {found}, so reading it would read another file. If you trust its maker, convert it with "
                "allow_external=True."
            )


def _try(waiting: list[str | os.PathLike[str]]) -> None:
    root = str(Path(__file__).resolve().parents[2])
    known = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "vaxseq.dataset.hdf5_probe"], env={**os.environ, "PYTHONPATH": known}, bufsize=0,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            for path in waiting:
                before = _mark(path)
                if found := _follow(process, os.fspath(path)):
                    _outside[before] = found
                _trusted.add(before)
        finally:
            process.kill()


def _follow(process: subprocess.Popen[bytes], path: str) -> str:
    """Gives the other process a file and listens to it; what the file refers to outside of itself, if anything."""
    if process.stdin is None or process.stdout is None:
        raise AssertionError("the process has no pipes")
    handle = process.stdout.fileno()
    with suppress(BrokenPipeError):  # it is gone, as the first read says
        process.stdin.write(os.fsencode(os.path.abspath(path)).hex().encode() + b"\n")
    heard = b""
    while not heard.endswith(_DONE):
        if not select.select([handle], [], [], LIMIT_S)[0]:
            raise SourceError(
                f"{path}: the HDF5 library hasn't come back from it for {LIMIT_S:.0f} s. The file is damaged, or its "
                "disk doesn't answer; get the file again."
            )
        said = os.read(handle, 1 << 16)
        if not said:
            raise SourceError(
                f"{path}: the HDF5 library ends the process that reads it (exit code {process.wait()}). The file is "
                "damaged; get it again."
            )
        heard += said
    lines = heard.replace(_STEP, b"").split(_SAID)[:-1]
    told = {line[:1]: bytes.fromhex(line[1:].decode("ascii")).decode("utf-8", "replace") for line in lines}
    if _UNWRITTEN in told:
        raise SourceError(f"{path}: {told[_UNWRITTEN]}. Cut the array to the rows that are there before converting it.")
    return told.get(_OUTSIDE, "")


def main() -> None:
    """The other process: one path a line comes in, single bytes go out."""
    for line in sys.stdin:
        for _ in _steps(os.fsdecode(bytes.fromhex(line))):
            _say(_STEP)
        _say(_DONE)


def _say(what: bytes) -> None:
    os.write(1, what)


def _steps(path: str) -> Iterator[None]:
    """Visits a file."""
    import h5py

    with _LEFT_TO_THE_READER, h5py.File(path, "r") as file:
        for kind, find in ((_OUTSIDE, outside), (_UNWRITTEN, unwritten)):
            if found := find(file, lambda: _say(_STEP)):
                _say(kind + found.encode("utf-8", "replace").hex().encode() + _SAID)
                if kind == _OUTSIDE:
                    return  # nothing of another file is touched
        yield from _group(file, 0, set(), os.path.getsize(path))


def _group(group: Any, depth: int, seen: set[int], most_rows: int) -> Iterator[None]:
    yield from _attributes(group)
    with _LEFT_TO_THE_READER:
        for name in list(group):
            yield
            with _LEFT_TO_THE_READER:
                one = group[name]
                if hash(one.id) in seen:  # a second link to it
                    continue
                seen.add(hash(one.id))
                if hasattr(one, "keys"):
                    yield from _group(one, depth + 1, seen, most_rows) if depth < _MAX_DEPTH else ()
                else:
                    yield from _attributes(one)
                    yield from _dataset(one, most_rows)


def _attributes(one: Any) -> Iterator[None]:
    with _LEFT_TO_THE_READER:
        for name in list(one.attrs):
            yield
            with _LEFT_TO_THE_READER:
                one.attrs.get(name)


def _dataset(one: Any, most_rows: int) -> Iterator[None]:
    if getattr(one, "chunks", None) is not None:
        with _LEFT_TO_THE_READER:
            left = iter(range(most_rows))  # a damaged index may go in circles

            def visit(_: Any) -> bool | None:
                number = next(left, None)
                if number is not None and number % _TEXT_ROWS == 0:
                    _say(_STEP)
                return True if number is None else None

            one.id.chunk_iter(visit)
    with _LEFT_TO_THE_READER:
        if one.dtype.hasobject:
            for start in range(0, min(one.shape[0] if one.shape else 0, most_rows), _TEXT_ROWS):
                with _LEFT_TO_THE_READER:
                    one[start : start + _TEXT_ROWS]
                yield


if __name__ == "__main__":
    main()
