"""Columns of the past: files in the cache folder, made in one pass over a frame's rows, and a Source that has them."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import h5py

from vaxseq.dataset.cache import cache_folder, draft_of
from vaxseq.dataset.checksums import is_sealed, seal_file
from vaxseq.errors import SourceError
from vaxseq.features.history.run import HistoryRun
from vaxseq.features.program.history import History, distinct
from vaxseq.frame import Source, attach_files, source_of

BLOCK_ROWS = 65_536
_GROUP = "table/columns"

_log = logging.getLogger("vaxseq")


def with_histories(frame: Any, histories: Iterable[History]) -> Source:
    """The frame's Source with these columns; those that aren't in the cache folder are computed first.

    A row's past is what stands before it in its series among all rows of the frame, whatever its filter. A column
    that the frame has already stays as it is.

    Raises:
        SelectionError: the rows of a group aren't together, or not in the order of time; says the remedy.
        MissingValueError: a row has no time.
        SourceError: the file can't be written.
    """
    source = source_of(frame)
    wanted = [one for one in distinct(histories) if one.column not in source.names]
    if not wanted:
        return source
    files = {one.column: _file_of(source, one) for one in wanted}
    absent = [one for one in wanted if not _is_whole(files[one.column])]
    if absent and source.n_rows:
        try:
            _compute(source, absent, files)
        except OSError as error:
            remedy = "Set VAXSEQ_CACHE to a folder with room"
            need = f"{8 * source.n_rows * len(absent):,} bytes"
            raise SourceError(
                f"{cache_folder()}: can't hold {need} of columns that look back; {error}. {remedy}"
            ) from error
    return Source(attach_files(source.frame(), files))


def _is_whole(file: Path) -> bool:
    if not file.exists():
        return False
    if is_sealed(file):
        return True
    _log.warning("%s: damaged, or of an earlier release; it is made again", file)
    return False


def _file_of(source: Source, history: History) -> Path:
    data = source.rows_fingerprint(history.reads)
    digest = hashlib.blake2b(f"{data}|{history.column}".encode(), digest_size=16).hexdigest()
    return cache_folder() / f"history-{digest}.hdf5"


def _compute(source: Source, histories: Sequence[History], files: dict[str, Path]) -> None:
    """One pass over all rows; each file appears when it is whole."""
    run = HistoryRun(histories)
    run.check(source.empty(run.columns))
    with ExitStack() as drafts:
        parts = {one.column: drafts.enter_context(draft_of(files[one.column])) for one in histories}
        with ExitStack() as stack:
            stored: dict[str, Any] = {}
            for name, part in parts.items():
                file = stack.enter_context(h5py.File(part, "w", locking=False))  # the draft's own lock is held
                file.create_group("table").attrs["type"] = "table"
                stored[name] = file.create_dataset(f"{_GROUP}/{name}/data", shape=(source.n_rows,), dtype="<f8")
            for start in range(0, source.n_rows, BLOCK_ROWS):
                stop = min(start + BLOCK_ROWS, source.n_rows)
                for name, values in run.block(source.read(run.columns, start, stop), stop - start).items():
                    stored[name][start:stop] = values
        for part in parts.values():
            seal_file(part)
            os.utime(part, (0, 0))  # a frame's fingerprint has its files' times; the name says what is in this one
    run.warn_of_duplicates()
