"""A packed store at a URL: one file there, and a copy of it in the cache folder, which is what is mapped and read.

A process holds a lock on the copies that it has used until it ends. Of those that nobody holds, the ones that weren't
used for longest go when all together take more than a bound.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from vaxseq.dataset.addresses import shown
from vaxseq.dataset.cache import cache_folder
from vaxseq.dataset.checksums import check_seal
from vaxseq.dataset.manifest import write_atomically
from vaxseq.dataset.object_writes import check_writable, put_file
from vaxseq.dataset.objects import About, about, fetch_file
from vaxseq.dataset.remote_folder import check_folder
from vaxseq.dataset.url_copies import explaining, folder_name
from vaxseq.errors import SourceNotFoundError, StoreError
from vaxseq.frame.remote import CACHE_BYTES
from vaxseq.store.file import StoreFile, read

Make = Callable[[Path, bool], StoreFile]  # path, overwrite
_DRAFT = ".fetched"
_MOST_BYTES = CACHE_BYTES  # of copies, as of blocks; one in use stays, however large it is

_in_use: dict[Path, IO[str]] = {}


def store_at_url(url: str, fingerprints: dict[str, str], make: Make, *, overwrite: bool = False) -> StoreFile:
    """The store at a URL if it was made from the same; else one is made, sent there, and kept here as well.

    Of several processes of a machine one fetches or makes it, and the others wait.

    Raises:
        StoreError: what is there was made from something else, or is damaged.
        SourceError: the store at the URL doesn't answer, or refuses.
    """
    check_folder(url)
    stored = _stored(url, fingerprints, make, overwrite)
    _make_room(cache_folder() / "stores")
    return stored


def _stored(url: str, fingerprints: dict[str, str], make: Make, overwrite: bool) -> StoreFile:
    with _held(url) as path, explaining(path, f"the copy of {shown(url)}."):
        there = None if overwrite else _fetched(url, path)
        if there is not None:
            return make(there, False)  # which checks what it was made from
        check_writable(url)
        stored = make(path, overwrite or not _is_of(path, fingerprints))
        put_file(path, url)
        _note(path, about(url))
        return stored


@contextmanager
def _held(url: str) -> Iterator[Path]:
    """Where the copy is kept, for one process at a time."""
    folder = cache_folder() / "stores" / folder_name(url)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / "lock", "a")
    except OSError as error:
        raise StoreError(
            f"{shown(url)}: its copy can't be kept in {folder} ({error.strerror}). Set VAXSEQ_CACHE to a folder with "
            "room."
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _use(folder)
        yield folder / (Path(url.rpartition("/")[2]).stem + ".h5")


def _use(folder: Path) -> None:
    """Until this process ends, nobody removes what is in the folder."""
    if folder not in _in_use or not (folder / "used").exists():
        _in_use[folder] = open(folder / "used", "a")
        fcntl.flock(_in_use[folder], fcntl.LOCK_SH)
    os.utime(_in_use[folder].fileno())


def _make_room(stores: Path) -> None:
    """Removes copies until the rest takes the bytes allowed: what wasn't used for longest, and nothing in use."""
    found = []
    for folder in stores.iterdir():
        if not (folder / "lock").is_file():  # not one of ours
            continue
        with suppress(FileNotFoundError):  # another process has just replaced or removed one
            size = sum(one.stat().st_size for one in _files(folder))
            used = folder / "used"  # copies of versions before had none
            found.append(((used if used.exists() else folder).stat().st_mtime_ns, size, folder))
    total = sum(size for _, size, _ in found)
    for _, size, folder in sorted(found):
        if total <= _MOST_BYTES:
            return
        if size and _removed(folder):
            total -= size


def _removed(folder: Path) -> bool:
    """Whether nobody used or made the copy, and it is gone."""
    with open(folder / "lock", "a") as lock, open(folder / "used", "a") as used:
        try:
            for one in (lock, used):
                fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        for path in _files(folder):
            path.unlink()
    return True


def _files(folder: Path) -> list[Path]:
    """What a copy consists of."""
    return [path for path in folder.iterdir() if path.name not in ("lock", "used") and path.is_file()]


def _fetched(url: str, path: Path) -> Path | None:
    """The copy of what is there now; None if nothing is."""
    try:
        now = about(url)
    except SourceNotFoundError:
        return None
    if path.exists() and _noted(path) == _text(now):
        return path
    draft = path.with_name(_DRAFT)
    fetch_file(url, now, draft)
    damaged = check_seal(draft)
    if damaged is None or damaged:
        draft.unlink()
        raise StoreError(
            f"{shown(url)}: isn't a store as materialize wrote it: "
            f"{'it has no checksums' if damaged is None else 'its bytes differ from its checksums'}. Make it anew with "
            "overwrite=True."
        )
    _mark(path).unlink(missing_ok=True)
    draft.replace(path)
    _note(path, now)
    return path


def _is_of(path: Path, fingerprints: dict[str, str]) -> bool:
    """Whether what is here is of the same: of a run that was stopped before it had sent it, or not there yet."""
    if not path.exists():
        return True
    try:
        read(path).check(fingerprints)
    except StoreError:
        return False
    return True


def _mark(path: Path) -> Path:
    return path.with_name("version")


def _note(path: Path, now: About) -> None:
    write_atomically(_mark(path), _text(now))


def _noted(path: Path) -> bytes | None:
    try:
        return _mark(path).read_bytes()
    except FileNotFoundError:
        return None


def _text(now: About) -> bytes:
    return f"{now.size} {now.version}".encode()
