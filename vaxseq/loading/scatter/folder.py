"""Where scratch files go: the folder that the user names, or one of the cache, never memory unasked."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from vaxseq.dataset.cache import cache_folder
from vaxseq.dataset.memory_limit import lines_of
from vaxseq.errors import OptionError, ScratchError

Scratch = str | os.PathLike[str] | None

_IN_MEMORY = {"tmpfs", "ramfs", "hugetlbfs"}
_VARIABLE = "VAXSEQ_SCRATCH"
_SPARE = 0.95  # a disk that is filled to the last byte is slow, and others write to it


def check_scratch(scratch: Scratch) -> None:
    """Refuses what can't be a folder.

    Raises:
        OptionError: neither "auto", None nor the path of a folder.
    """
    if scratch is None or scratch == "auto":
        return
    if not isinstance(scratch, str | os.PathLike):
        raise OptionError(f"scratch: got {scratch!r}, expected 'auto', a folder's path, or None for no scratch files")
    if not Path(scratch).is_dir():
        raise OptionError(f"scratch: no folder {os.fspath(scratch)!r}. Make it first.")


def scratch_folder(scratch: Scratch) -> tuple[Path | None, str]:
    """The folder, or None and why there is none."""
    if scratch is None:
        return None, "scratch=None forbids scratch files"
    named = os.environ.get(_VARIABLE) if scratch == "auto" else os.fspath(scratch)
    folder = Path(named) if named else cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if scratch != "auto":
            raise ScratchError(
                f"scratch: {folder} can't be written ({error.strerror}). Name another folder."
            ) from error
        return None, f"{folder} can't be made ({error.strerror})"
    if not os.access(folder, os.W_OK):
        if scratch != "auto":
            raise ScratchError(f"scratch: {folder} can't be written. Name another folder.")
        return None, f"{folder} can't be written"
    if not named and file_system(folder) in _IN_MEMORY:
        return None, f"{folder} is memory itself ({file_system(folder)})"
    return folder, ""


def room(folder: Path) -> int:
    """Bytes that scratch files may take on the folder's disk."""
    return int(shutil.disk_usage(folder).free * _SPARE)


def file_system(folder: Path) -> str:
    """The kind of file system that holds a folder ("ext4"); "" where the system doesn't tell."""
    path, best, kind = str(folder.resolve()), "", ""
    for line in lines_of("/proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        mount = before.split()[4]
        if (path == mount or path.startswith(mount.rstrip("/") + "/")) and len(mount) >= len(best):
            best, kind = mount, after.split()[0]
    return kind
