"""Room on the disk, asked for before it is used, and what its end looks like."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vaxseq.convert.unit_reader import UnitReader
from vaxseq.errors import DatasetError


def check_space(target: Path, own: UnitReader, size_bytes: int, copies: int = 1) -> None:
    """Refuses a conversion that can't fit, as far as its sources' sizes tell.

    Args:
        target: where it will be.
        own: the job's reader.
        size_bytes: of all sources; 0 when unknown.
        copies: how many of the dataset are on the disk at once.

    Raises:
        DatasetError: with the bytes that are needed and free.
    """
    if size_bytes == 0:
        return
    first = own.reader(0)
    share = first.estimate_bytes() / max(first.total_bytes(), 1)
    needed = int(size_bytes * share) * copies
    free = shutil.disk_usage(target.parent).free
    if needed > free:
        raise DatasetError(
            f"{target}: not enough room; got {free / 1e9:.2f} GB free, expected about {needed / 1e9:.2f} GB. "
            f"Free some, choose another disk, or keep fewer columns with columns=."
        )


@contextmanager
def explained(target: Path) -> Iterator[None]:
    """A full disk as one clear error; nothing half-written is at the target, and the same call goes on later."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DatasetError(
            f"{target}: the disk is full ({error}). Nothing is at the target; free some room and run the same "
            "conversion again."
        ) from error
