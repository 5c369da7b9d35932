"""What an HDF5 file reaches for that isn't in it: arrays in other files, and rows that were declared, never written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

MAX_UNWRITTEN_BYTES = 1 << 30  # of fill values, beyond 64 times what is written
_MAX_LINKS = 1 << 20
_EVERY = 1 << 8
_LEFT_TO_THE_READER = suppress(Exception)  # it meets the same damage and says what it means


def outside(file: Any, step: Callable[[], None] | None = None) -> str | None:
    """The first link, storage or virtual dataset that leads to another file; nothing of that is opened.

    ``step`` is called now and then.
    """
    import h5py

    for name, one in _objects(file, step):
        if isinstance(one, h5py.ExternalLink):
            return f"{name!r} is an external link to {one.filename!r}"
        if one is None:
            return f"{name!r} is a link of a kind that HDF5 itself doesn't know"
        if isinstance(one, h5py.Dataset):
            if one.external:
                return f"{name!r} keeps its values in {one.external[0][0]!r} (external storage)"
            if one.is_virtual:
                return f"{name!r} is a virtual dataset over other files"
    return None


def unwritten(file: Any, step: Callable[[], None] | None = None) -> str | None:
    """The first array of which far more was declared than was ever written."""
    import h5py

    for name, one in _objects(file, step):
        if isinstance(one, h5py.Dataset) and one.shape and not one.external and not one.is_virtual:
            declared = int(one.dtype.itemsize)
            for size in one.shape:
                declared *= int(size)
            written = int(one.id.get_storage_size())
            if one.chunks is not None and declared > MAX_UNWRITTEN_BYTES:
                chunk = int(one.dtype.itemsize)
                for size in one.chunks:
                    chunk *= int(size)
                written = max(written, int(one.id.get_num_chunks()) * chunk)
            if declared > max(MAX_UNWRITTEN_BYTES, 64 * written):
                return (
                    f"{name!r} declares {declared:,} bytes (shape {one.shape}), of which {written:,} were ever "
                    f"written; at most 64 times as much is taken (MAX_UNWRITTEN_BYTES = {MAX_UNWRITTEN_BYTES:,})"
                )
    return None


def _objects(file: Any, step: Callable[[], None] | None) -> Iterator[tuple[str, Any]]:
    """Every dataset and external link below a group, each object once; None for a link of an unknown kind."""
    import h5py

    seen: set[Any] = set()
    waiting: list[tuple[str, Any]] = [("", file)]
    count = 0
    while waiting and count < _MAX_LINKS:
        place, group = waiting.pop()
        names: list[str] = []
        with _LEFT_TO_THE_READER:
            names = list(group)
        for name in names:
            count += 1
            if step is not None and count % _EVERY == 0:
                step()
            path, one = f"{place}/{name}", None
            with _LEFT_TO_THE_READER:
                try:
                    link = group.get(name, getlink=True)
                except TypeError:
                    yield path, None
                    continue
                if isinstance(link, h5py.ExternalLink):
                    yield path, link
                elif not isinstance(link, h5py.SoftLink):  # which leads to one of the other links
                    one = group[name]
            if one is None or one.id in seen:
                continue
            seen.add(one.id)
            if isinstance(one, h5py.Group):
                waiting.append((path, one))
            elif isinstance(one, h5py.Dataset):
                yield path, one
