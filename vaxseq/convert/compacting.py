"""compact(): a dataset of many small fragments as one of few large ones, row for row."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from vaxseq.convert.appending import appended_schema
from vaxseq.convert.commit import clear, empty, forget, publish, recover
from vaxseq.convert.journal import Journal, boot, locked
from vaxseq.convert.planning import working_folder
from vaxseq.convert.run import FRAGMENT_BYTES, convert
from vaxseq.convert.target import check_place, check_replaceable, check_work
from vaxseq.dataset.addresses import is_url, shown
from vaxseq.dataset.manifest import Manifest
from vaxseq.errors import DatasetError, OptionError, SourceNotFoundError


def compact(
    path: str | os.PathLike[str], *, fragment_bytes: int = FRAGMENT_BYTES, progress: bool = True
) -> Manifest:  # fmt: skip
    """Writes a folder's fragments anew as few large ones, with the same rows in the same order.

    Many small appends make a dataset slow to open and to append to; this makes it one that was converted at once. What
    the manifest knows stays: which sources are in it, notices, forms, rejected rows. The old fragments stay until the
    new ones are whole; a killed run begins again. Frames that are open must be opened anew.

    Args:
        path: a folder that ``convert`` made.
        fragment_bytes: the size at which the next fragment begins.
        progress: shows rows, bytes and the time left.

    Returns:
        The dataset's manifest.

    Raises:
        SourceNotFoundError: nothing is there.
        OptionError: the dataset is one file, or at a URL.
        DatasetError: no dataset of ours, a damaged one, or one that is being written.

    >>> import tempfile, pyarrow as pa
    >>> from vaxseq.convert import convert
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for part in ([1, 2], [3], [4, 5]):
    ...         made = convert(pa.table({"x": part}), f"{folder}/d", append=True, progress=False)
    ...     made = compact(f"{folder}/d", progress=False)
    ...     len(made.fragments), made.n_rows
    (1, 5)
    """
    if isinstance(path, str) and is_url(path):
        raise OptionError(
            f"compact: {shown(path)}: got a URL, expected a folder on a local disk. "
            "convert(vaxseq.open(url), other_url) writes the same rows as few large fragments."
        )
    target = Path(path)
    check_place(target)
    work = working_folder(target)
    if target.exists() and not target.is_dir():
        raise OptionError(
            f"compact: {target}: is one file, expected a folder of fragments. There is nothing to compact."
        )
    if not target.exists() and not work.exists():
        raise SourceNotFoundError(f"{target}: no such dataset. Check the path.")
    with ExitStack() as stack:
        check_work(work, target)
        stack.enter_context(locked(work, target))
        if recover(work, target) is not None:
            forget(work)
        before = Manifest.load(target)
        before.check_files()
        check_replaceable(target)
        total = sum(one.size_bytes for one in before.fragments)
        if len(before.fragments) > 1 + total // fragment_bytes:
            _begin(work, target)
            convert(
                target, work / "dataset", schema=appended_schema(before), target_format=before.format,
                fragment_bytes=fragment_bytes, progress=progress,
            )  # fmt: skip
            manifest = _kept(before, Manifest.load(work / "dataset"), target)
            manifest.save(work / "dataset")
            note = {"manifest": manifest.to_dict(), "folder": True, "append": False, "overwrite": True}
            before = publish(work, target, note)
            clear(work)
        elif (work / "replaced").exists():  # an earlier run was killed just before it had cleared up
            clear(work)
    return before


def _begin(work: Path, target: Path) -> None:
    """Empties the working folder, and marks it as one of ours."""
    journal = Journal(work)
    if any("pieces" in line for line in journal.read()):
        raise DatasetError(
            f"{target}: an unfinished conversion is there. Run it again to its end, then compact the dataset."
        )
    empty(work)
    journal.add({"key": "compact", "boot": boot()})
    journal.close()


def _kept(before: Manifest, made: Manifest, target: Path) -> Manifest:
    """The new fragments, with what the manifest knew of the rows."""
    types = [(one.name, one.type) for one in before.schema.columns]
    if made.n_rows != before.n_rows or [(one.name, one.type) for one in made.schema.columns] != types:
        raise DatasetError(
            f"{target}: its fragments have other rows or types than its manifest says; it was left as it was. Check it "
            "with vaxseq verify, or convert it again."
        )
    return replace(before, fragments=made.fragments)
