"""``verify``: every byte of a dataset or a store against the checksums that were written with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from vaxseq.dataset.addresses import is_url, shown
from vaxseq.dataset.byte_places import ByteRange, byte_ranges
from vaxseq.dataset.checksums import Damage, check_seal
from vaxseq.dataset.fanout import in_turn
from vaxseq.dataset.manifest import MANIFEST_NAME, Manifest
from vaxseq.dataset.objects import about, listed
from vaxseq.dataset.processes import with_workers
from vaxseq.dataset.remote_arrow import ranges_in, structure_of
from vaxseq.dataset.remote_checksums import check_remote_seal
from vaxseq.dataset.remote_file import RemoteFile
from vaxseq.dataset.remote_folder import check_folder, fragment_abouts, read_manifest
from vaxseq.display.progress import progress_bar
from vaxseq.display.tables import Display, Heading, Shown
from vaxseq.errors import DatasetError, SourceNotFoundError

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
        path: a dataset (a file, or a folder), a store, or a folder of stores such as the cache; or its URL, from which
            all of it is fetched once.
        executor: any ``concurrent.futures.Executor`` whose workers see the files at the same paths, to share them with;
            what is found is the same.
        progress: shows a bar when standard error is a terminal.

    Returns:
        What was read.

    Raises:
        DatasetError: something differs; the message lists the fragments, columns and rows. A file without checksums
            is refused as well: it can't be told whether it is whole.
        SourceNotFoundError: nothing there.
        SourceError: a worker of the executor died; a store doesn't answer, or refuses.

    >>> import tempfile, pyarrow as pa
    >>> from vaxseq.convert import convert
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     made = convert(pa.table({"x": [1, 2]}), f"{folder}/x.arrow", progress=False)
    ...     len(verify(f"{folder}/x.arrow", progress=False).files)
    1
    """
    text = os.fspath(path)
    where = shown(text.rstrip("/")) if is_url(text) else str(Path(text))
    files, total = _at_url(text.rstrip("/")) if is_url(text) else _on_disk(Path(text))
    problems: list[str] = []
    with (
        progress_bar(progress, f"verify {Path(where).name}", total, "bytes") as told,
        with_workers(executor, worth=len(files) > 1) as pool,
    ):
        for file, damaged in zip(files, _checked(where, files, pool, told), strict=True):
            if damaged is None:
                problems.append(
                    f"{shown(file)}: has no checksums, so it can't be verified. Convert or materialize it again to "
                    "have them."
                )
            elif damaged:
                problems += _said(shown(file), _places(file, damaged), damaged)
    if problems:
        more = len(problems) - _LISTED
        rest = [f"and {more:,} more"] if more > 0 else []
        raise DatasetError("\n".join([*problems[:_LISTED], *rest]))
    return Verification(where, tuple(shown(file) for file in files), total)


def _checked(
    where: str, files: list[str], executor: Executor | None, told: Callable[[int], None]
) -> Iterator[list[Damage] | None]:
    """What is damaged in each of the files, in their order."""
    if executor is None:
        yield from (check(file, told) for file in files)
        return
    found = in_turn(executor, check, ((file,) for file in files), where=f"verify {where}")
    for file, damaged in zip(files, found, strict=True):
        told(about(file).size if is_url(file) else os.path.getsize(file))
        yield damaged


def check(file: str, told: Callable[[int], None] | None = None) -> list[Damage] | None:
    """What is damaged in a file, at a path or a URL."""
    return check_remote_seal(file, told) if is_url(file) else check_seal(file, told)


def _on_disk(where: Path) -> tuple[list[str], int]:
    """The files, and their bytes."""
    if not where.exists():
        raise SourceNotFoundError(f"{where}: no such dataset or store. Check the path.")
    files = [where]
    if (where / MANIFEST_NAME).exists():
        manifest = Manifest.load(where)
        manifest.check_files()
        files = manifest.paths()
    elif where.is_dir():
        files = sorted(one for one in where.iterdir() if one.suffix in _SUFFIXES and one.is_file())
        if not files:
            raise SourceNotFoundError(f"{where}: holds neither a dataset nor stores. Check the path.")
    return [str(one) for one in files], sum(file.stat().st_size for file in files)


def _at_url(root: str) -> tuple[list[str], int]:
    """The same at a URL."""
    check_folder(root)
    if Path(root).suffix in _SUFFIXES:
        return [root], about(root).size
    try:
        manifest, _ = read_manifest(root)
    except SourceNotFoundError:
        found = {} if root.startswith(("http://", "https://")) else listed(root)
        files = sorted(name for name in found if Path(name).suffix in _SUFFIXES)
        if not files:
            raise SourceNotFoundError(
                f"{shown(root)}: holds neither a dataset nor stores. Check the address."
            ) from None
        return [f"{root}/{name}" for name in files], sum(found[name].size for name in files)
    fragment_abouts(root, manifest.fragments)
    return [f"{root}/{one.path}" for one in manifest.fragments], sum(one.size_bytes for one in manifest.fragments)


def _places(file: str, damaged: list[Damage]) -> list[ByteRange]:
    """Which columns and rows the file's bytes are, where its structure can still be trusted."""
    if any(one.what != "data" for one in damaged):
        return []
    if not is_url(file):
        return byte_ranges(file)
    try:
        return list(ranges_in(structure_of(RemoteFile(file, about(file), 0), sealed=False)))
    except DatasetError:  # no Arrow file, or the damage is where its structure is told
        return []


def _said(file: str, places: list[ByteRange], damaged: list[Damage]) -> Iterator[str]:
    """A line for each column that is hit, and for what belongs to none."""
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
