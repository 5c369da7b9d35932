"""``verify``: every byte of a dataset or a store against the checksums that were written with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from vaxseq.dataset.addresses import is_url, shown
from vaxseq.dataset.byte_places import ByteRange, byte_ranges
from vaxseq.dataset.fanout import in_turn
from vaxseq.dataset.manifest import MANIFEST_NAME, Manifest
from vaxseq.dataset.seal import Damage, check_seal
from vaxseq.display.progress import progress_bar
from vaxseq.display.tables import Display, Heading, Shown
from vaxseq.errors import DatasetError, OptionError, SourceNotFoundError

_SUFFIXES = (".arrow", ".feather", ".ipc", ".hdf5", ".h5")
_LISTED = 20


@dataclass(frozen=True, slots=True, repr=False)
class Verification(Shown):
    """Files whose every byte is as it was written, and their size."""

    path: str
    files: tuple[str, ...]
    size_bytes: int

    def _display(self) -> Display:
        count = f"{len(self.files):,} file{'' if len(self.files) == 1 else 's'}"
        said = f"{self.path}: {count}, {self.size_bytes / 1e6:,.1f} MB, as they were written"
        return Display(said, (Heading("file"),), ())

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {"path": self.path, "files": list(self.files), "size_bytes": self.size_bytes}


def verify(path: str | os.PathLike[str], *, executor: Executor | None = None, progress: bool = True) -> Verification:
    """Reads all bytes of a dataset, a store, or a folder of them, and compares them with their checksums.

    Checksums are in every file that ``convert`` and ``materialize`` write. A file is read once, in order.

    Args:
        path: a dataset (a file, or a folder), a store, or a folder of stores such as the cache.
        executor: any ``concurrent.futures.Executor`` whose workers see the files at the same paths, to share them with;
            what is found is the same.
        progress: shows a bar when standard error is a terminal.

    Returns:
        What was read.

    Raises:
        OptionError: a URL.
        DatasetError: something differs; the message lists the fragments, columns and rows. A file without checksums
            is refused as well: it can't be told whether it is whole.
        SourceNotFoundError: nothing there.
        SourceError: a worker of the executor died.

    >>> import tempfile, pyarrow as pa
    >>> from vaxseq.convert import convert
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     made = convert(pa.table({"x": [1, 2]}), f"{folder}/x.arrow", progress=False)
    ...     len(verify(f"{folder}/x.arrow", progress=False).files)
    1
    """
    if is_url(os.fspath(path)):
        raise OptionError(
            f"verify: {shown(os.fspath(path))}: got a URL, expected a local path. Copy the dataset to a local disk; "
            "one that is read from a URL is held to its checksums block by block as it is read."
        )
    where = Path(path)
    if not where.exists():
        raise SourceNotFoundError(f"{where}: no such dataset or store. Check the path.")
    files = _files(where)
    total = sum(file.stat().st_size for file in files)
    problems: list[str] = []
    with progress_bar(progress, f"verify {where.name}", total, "bytes") as told:
        for file, damaged in zip(files, _checked(where, files, executor, told), strict=True):
            if damaged is None:
                problems.append(
                    f"{file}: has no checksums, so it can't be verified. Convert or materialize it again to have them."
                )
            elif damaged:
                problems += _said(file, damaged)
    if problems:
        more = len(problems) - _LISTED
        rest = [f"and {more:,} more"] if more > 0 else []
        raise DatasetError("\n".join([*problems[:_LISTED], *rest]))
    return Verification(str(where), tuple(str(file) for file in files), total)


def _checked(
    where: Path, files: list[Path], executor: Executor | None, told: Callable[[int], None]
) -> Iterator[list[Damage] | None]:
    """What is damaged in each of the files, in their order."""
    if executor is None:
        yield from (check_seal(file, told) for file in files)
        return
    found = in_turn(executor, check_seal, ((str(file),) for file in files), where=f"verify {where}")
    for file, damaged in zip(files, found, strict=True):
        told(file.stat().st_size)
        yield damaged


def _files(where: Path) -> list[Path]:
    if not where.is_dir():
        return [where]
    if (where / MANIFEST_NAME).exists():
        manifest = Manifest.load(where)
        manifest.check_files()
        return manifest.paths()
    found = sorted(one for one in where.iterdir() if one.suffix in _SUFFIXES and one.is_file())
    if not found:
        raise SourceNotFoundError(f"{where}: holds neither a dataset nor stores. Check the path.")
    return found


def _said(file: Path, damaged: list[Damage]) -> Iterator[str]:
    """A line for each column that is hit, and for what belongs to none."""
    places = byte_ranges(str(file)) if all(one.what == "data" for one in damaged) else []
    for one in damaged:
        remedy = "Get the file again, or make it anew."
        hit = _columns(places, one)
        if not hit:
            what = {"data": "bytes that are no rows'", "footer": "its footer"}.get(one.what, "its structure")
            yield (
                f"{file}: {what} differ{'' if one.what == 'data' else 's'} from what was written (bytes {one.start:,} "
                f"to {one.stop:,}). {remedy}"
            )
        for column, (first, last) in hit.items():
            yield f"{file}: column {column!r}, rows {first:,} to {last:,} differ from what was written. {remedy}"


def _columns(places: list[ByteRange], damage: Damage) -> dict[str, tuple[int, int]]:
    hit: dict[str, tuple[int, int]] = {}
    for place in places:
        rows = place.rows(damage.start, damage.stop)
        if rows is not None:
            before = hit.get(place.column, rows)
            hit[place.column] = min(before[0], rows[0]), max(before[1], rows[1])
    return hit
