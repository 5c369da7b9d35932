"""``sort_by``: staged rows in another order, by sorted runs on the disk that are merged in bounded memory."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vaxseq.convert.ranges import ranges_in
from vaxseq.convert.stage import MAX_BATCH_ROWS, Draft
from vaxseq.convert.writers.ipc import IpcFile
from vaxseq.dataset.schema import array_shape, type_name
from vaxseq.errors import ColumnNotFoundError, OptionError, did_you_mean

_RUN_BYTES = 128 << 20
_BATCH_BYTES = 16 << 20
_SMALLEST_BLOCK = 256  # rows; smaller slices of a run cost more than they spare


def check_sort(names: tuple[str, ...], types: Mapping[str, pa.DataType]) -> None:
    """Refuses what can't be sorted by.

    Raises:
        ColumnNotFoundError: no such column in the dataset.
        OptionError: an array column, or a column twice.
    """
    for name in names:
        if name not in types:
            raise ColumnNotFoundError(f"sort_by: no column {name!r}.{did_you_mean(name, types)}")
        if array_shape(types[name])[0]:
            raise OptionError(f"sort_by: column {name!r}; got {type_name(types[name])}, expected single values.")
    if len(set(names)) < len(names):
        raise OptionError(f"sort_by: got {list(names)}, expected each column once.")


def sorted_drafts(
    tables: Callable[[], Iterator[pa.Table]],
    work: Path,
    schema: pa.Schema,
    words: Mapping[str, pa.Array],
    names: tuple[str, ...],
    draft_bytes: int | None,
) -> list[Draft]:
    """The rows as new drafts in ascending order of these columns.

    Equal rows keep their order; text goes by its code points; NaN comes after all numbers, a missing value after that.
    """
    runs_folder, folder = work / "runs", work / "sorted"
    for one in (runs_folder, folder):  # of a run that was killed
        if one.exists():
            shutil.rmtree(one)
        one.mkdir()
    order = _Order(schema, words, names)
    runs = _write_runs(tables(), runs_folder, order)
    rows = sum(run.num_rows for run in runs)
    row_bytes = max(sum(run.nbytes for run in runs) // max(rows, 1), 1)
    batch_bytes = min(_BATCH_BYTES, draft_bytes or _BATCH_BYTES)
    batch_rows = int(min(max(batch_bytes // row_bytes, 1), MAX_BATCH_ROWS))
    drafts = write_drafts(_cut(_merged(runs, order, row_bytes), batch_rows), folder, schema, words, draft_bytes)
    del runs
    shutil.rmtree(runs_folder)
    return drafts


class _Order:
    """How rows are compared. Runs hold dictionary codes in place of words, and last of all each row's number."""

    def __init__(self, schema: pa.Schema, words: Mapping[str, pa.Array], names: tuple[str, ...]) -> None:
        self._places = [schema.get_field_index(name) for name in names]
        self._ranks = {}
        for place, name in zip(self._places, names, strict=True):
            if name in words:
                rank = np.empty(len(words[name]), np.int32)
                rank[np.asarray(pc.sort_indices(words[name]))] = np.arange(len(rank), dtype=np.int32)
                self._ranks[place] = pa.array(rank)

    def keys(self, table: pa.Table) -> pa.Table:
        """The columns to compare, each of a type that can be sorted, then the row's number."""
        found = [self._key(table.column(place), place) for place in self._places]
        names = [f"k{number}" for number in range(len(found))]
        return pa.table([*found, table.column(table.num_columns - 1)], [*names, "row"])

    def _key(self, column: pa.ChunkedArray, place: int) -> pa.ChunkedArray:
        kind = column.type
        if place in self._ranks:
            return pc.take(self._ranks[place], column)
        if pa.types.is_boolean(kind):
            return column.cast(pa.uint8())
        if pa.types.is_float16(kind):
            return column.cast(pa.float32())
        if pa.types.is_temporal(kind):  # durations and times have no order in pyarrow
            return column.cast(pa.int32() if kind.bit_width == 32 else pa.int64())
        return column

    def indices(self, keys: pa.Table) -> pa.Array:
        """Positions in order; a row's number decides between equal ones."""
        return pc.sort_indices(
            keys.combine_chunks(),
            sort_keys=[(name, "ascending") for name in keys.column_names],
        )


def coded(table: pa.Table) -> list[pa.ChunkedArray]:
    """The table's columns, dictionary columns as their codes."""
    return [
        pa.chunked_array([chunk.indices for chunk in column.chunks], pa.int32())
        if pa.types.is_dictionary(column.type)
        else column
        for column in table.columns
    ]


def _write_runs(tables: Iterable[pa.Table], folder: Path, order: _Order) -> list[pa.Table]:
    """Sorted runs of bounded size, memory-mapped."""
    runs: list[pa.Table] = []
    held: list[pa.Table] = []
    row = size = 0

    def write() -> None:
        table = pa.concat_tables(held).combine_chunks()
        table = table.take(order.indices(order.keys(table)))
        path = folder / f"run-{len(runs):05d}.arrow"
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        held.clear()
        runs.append(pa.ipc.open_file(pa.memory_map(str(path))).read_all())

    for table in tables:
        plain = coded(table)
        numbers = pa.array(np.arange(row, row + table.num_rows, dtype=np.int64))
        held.append(pa.table([*plain, numbers], [str(number) for number in range(len(plain) + 1)]))
        row += table.num_rows
        size += held[-1].nbytes
        if size >= _RUN_BYTES:
            write()
            size = 0
    if held:
        write()
    return runs


def _merged(runs: list[pa.Table], order: _Order, row_bytes: int) -> Iterator[pa.Table]:
    """All runs as one. Blocks are read in the order of their first rows: what lies before the next block's first row
    is settled, and of each run at most one block has to wait, so half of what is in memory is written each time.
    """  # fmt: skip
    if not runs:
        return
    block = max(_RUN_BYTES // (2 * row_bytes * len(runs)), _SMALLEST_BLOCK)
    places = [(number, start) for number, run in enumerate(runs) for start in range(0, run.num_rows, block)]
    starts = [pa.array(np.arange(0, run.num_rows, block)) for run in runs]
    heads = pa.concat_tables([order.keys(run.take(at)) for run, at in zip(runs, starts, strict=True)])
    turns = np.asarray(order.indices(heads)).tolist()
    waiting: list[pa.Table] = []
    for at in range(0, len(turns), len(runs)):
        parts = [
            runs[number].slice(start, block) for number, start in map(places.__getitem__, turns[at : at + len(runs)])
        ]
        following = turns[at + len(runs) : at + len(runs) + 1]
        border = [runs[number].slice(start, 1) for number, start in map(places.__getitem__, following)]
        table = pa.concat_tables([*waiting, *parts, *border]).combine_chunks()
        found = order.indices(order.keys(table))
        if border:
            cut = int(np.flatnonzero(np.asarray(found) == table.num_rows - 1)[0])
            waiting = [table.take(found.slice(cut + 1))]
            found = found.slice(0, cut)
        yield table.take(found)


def _cut(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """The same rows in tables of equal length."""
    held: list[pa.Table] = []
    count = 0
    for table in tables:
        held.append(table)
        count += table.num_rows
        while count >= rows:
            whole = pa.concat_tables(held)
            yield whole.slice(0, rows)
            held, count = [whole.slice(rows)], count - rows
    if count:
        yield pa.concat_tables(held)


def write_drafts(
    tables: Iterable[pa.Table], folder: Path, schema: pa.Schema, words: Mapping[str, pa.Array], draft_bytes: int | None
) -> list[Draft]:
    """Drafts in a folder of the working folder; tables have codes in place of words, and may have further columns."""
    drafts: list[Draft] = []
    file: IpcFile | None = None
    for table in tables:
        draft = drafts[-1] if drafts else None
        if draft is None or file is None or (draft_bytes is not None and draft.length >= draft_bytes):
            if file is not None:
                file.close()
            types = dict(zip(schema.names, schema.types, strict=True))
            draft = Draft(f"{folder.name}/draft-{len(drafts):05d}.arrow", types)
            drafts.append(draft)
            file = IpcFile(folder.parent / draft.name, schema)
        columns = [
            pa.DictionaryArray.from_arrays(column.combine_chunks(), words[field.name])
            if pa.types.is_dictionary(field.type)
            else column
            for field, column in zip(schema, table.columns, strict=False)  # the last column is the row's number
        ]
        whole = pa.table(columns, schema=schema).combine_chunks()
        batches = whole.to_batches()
        for batch in batches:
            file.append(batch)
        draft.blocks, draft.length = file.blocks, file.length
        draft.rows += table.num_rows
        draft.groups.append(([], table.num_rows, len(batches)))
        draft.ranges.append(ranges_in(whole))
    if file is not None:
        file.close()
    return drafts
