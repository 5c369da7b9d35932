"""One piece of a source, finished: parsed, cast, checked against the schema, filtered; every row accounted for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vaxseq.convert import type_inference
from vaxseq.convert.lists import fixed_lists
from vaxseq.convert.readers import open_reader
from vaxseq.convert.readers.base import BadRow, Parsed, Piece, Reader, Request, Source, Unit
from vaxseq.convert.readers.storable_types import storable_type
from vaxseq.convert.rejects import Reject
from vaxseq.convert.type_promotion import cast_exactly, common_type, is_text
from vaxseq.dataset.schema import Column, Schema, array_shape, type_name
from vaxseq.errors import BadRowError, ColumnNotFoundError, SchemaError, did_you_mean

_FEW = 2  # bad rows that may be most of a few
_NO_PARTITION = ("__HIVE_DEFAULT_PARTITION__", "")  # how Hive and Spark write a missing value into a path


@dataclass(frozen=True, slots=True)
class Job:
    """Everything that decides what a piece becomes; picklable when its sources are files."""

    sources: tuple[Source, ...]
    options: Mapping[str, Any]
    columns: tuple[str, ...] | None = None  # names in the source
    rename: Mapping[str, str] = field(default_factory=dict)
    schema: Schema | None = None
    where: str | None = None
    on_bad_rows: str = "error"
    path_column: str | None = None


@dataclass(slots=True)
class FinishedPiece:
    """A piece's rows in the dataset's columns, and the account of the others."""

    unit: Unit
    number: int
    table: pa.Table
    rejects: list[Reject]
    dropped: int


class UnitReader:
    """Reads units of a job; keeps the last source open."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._open: tuple[int, Reader] | None = None

    def reader(self, index: int) -> Reader:
        """The source's reader."""
        if self._open is None or self._open[0] != index:
            self.close()
            reader = open_reader(self.job.sources[index], self.job.options)
            self._open = index, reader
            reader.choose(tuple(chosen(self.job, reader)))
        return self._open[1]

    def close(self) -> None:
        """Closes the open source."""
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def read(self, unit: Unit, types: Mapping[str, pa.DataType], skip: int = 0) -> Iterator[FinishedPiece]:
        """The unit's pieces, finished. ``types`` are the dataset's so far, by its own names; they may change."""
        reader = self.reader(unit.source)
        names = chosen(self.job, reader)
        given = {*names.values(), *constants(self.job, reader.source)}
        if extra := sorted(given - set(types)):
            raise SchemaError(
                f"{reader.where}: column {extra[0]!r} isn't in the dataset, whose columns are {sorted(types)}. "
                "Choose columns with columns=, or convert the files apart."
            )
        for number, piece in enumerate(reader.pieces(unit, skip), skip):
            yield self._finish(reader, unit, number, piece, names, types)

    def _finish(
        self,
        reader: Reader,
        unit: Unit,
        number: int,
        piece: Piece,
        names: dict[str, str],
        types: Mapping[str, pa.DataType],
    ) -> FinishedPiece:
        declared = self.job.schema
        wanted = {old: types.get(new, pa.null()) for old, new in names.items()}
        fixed = frozenset(old for old, new in names.items() if declared is not None and new in declared)
        parsed = reader.parse(piece, Request(tuple(names), wanted, fixed))
        parsed.table = parsed.table.rename_columns(list(names.values()))
        parsed.bad = [
            BadRow(one.row, names.get(one.column or "", one.column), one.value, one.reason) for one in parsed.bad
        ]
        there = {*parsed.table.column_names, *constants(self.job, reader.source)}
        for name in types:  # what this source lacks is missing in its rows
            if name not in there:
                kind = types[name] if declared is not None and name in declared else pa.null()
                parsed.table = parsed.table.append_column(name, pa.nulls(parsed.table.num_rows, kind))
        if not reader.is_text:
            for name in parsed.table.column_names:
                _retype(parsed, name, types.get(name), declared is not None and name in declared, reader.where)
        if declared is not None:
            for column in declared.columns:
                if column.checked and column.name in parsed.table.column_names:
                    _check(parsed, column)
        parsed.table = self._constants(parsed.table, self.job.sources[unit.source], types)
        rejects = self._rejects(reader, piece, parsed.bad, parsed.table.num_rows)
        table, dropped = self._selected(parsed.table)
        return FinishedPiece(unit, number, table, rejects, dropped)

    def _constants(self, table: pa.Table, source: Source, types: Mapping[str, pa.DataType]) -> pa.Table:
        for name, value in constants(self.job, source).items():
            kind = types[name]
            cell, bad = type_inference.parse(
                pa.array([value], pa.string()), pa.string() if is_text(kind) else kind, type_inference.TextFormat()
            )
            if bad[0]:
                raise BadRowError(
                    f"{source.name}: column {name!r}: not a {type_name(kind)}; got {value!r} in the path."
                )
            table = table.append_column(name, pa.repeat(cell[0], table.num_rows))
        return table

    def _rejects(self, reader: Reader, piece: Piece, bad: list[BadRow], good: int) -> list[Reject]:
        if not bad:
            return []
        first_of: dict[int, BadRow] = {}
        for one in sorted(bad, key=lambda one: one.row):
            first_of.setdefault(one.row, one)  # a row is rejected once, for its first reason
        rows = sorted(first_of) if self.job.on_bad_rows == "reject" else sorted(first_of)[:1]
        found = [
            Reject(reader.where, line, first_of[row].column, first_of[row].value, first_of[row].reason, raw)
            for row, (line, raw) in zip(rows, reader.locate(piece, rows), strict=True)
        ]
        if self.job.on_bad_rows == "error":
            worst = found[0]
            at = f" column {worst.column!r}:" if worst.column else ""
            got = f"; got {worst.value!r}" if worst.value is not None else ""
            said = f"{worst.source}: line {worst.line}:{at} {worst.reason}{got}. Correct the row or the schema, or "
            if worst.column is None and (options := reader.remedy(worst.text)):
                shown = ", ".join(f"{key}={value!r}" for key, value in options.items())
                raise BadRowError(f"{said}leave out what stands below the rows with {shown}.", options=options)
            if len(first_of) > max(good, _FEW):  # to leave out most of the lines makes no table of them
                raise BadRowError(
                    f"{said}say how the file is laid out (skip_rows=, delimiter=, names=): {len(first_of):,} of "
                    f"{len(first_of) + good:,} rows here don't fit."
                )
            raise BadRowError(
                f"{said}set the bad rows aside with on_bad_rows='reject'.", options={"on_bad_rows": "reject"}
            )
        return found

    def _selected(self, table: pa.Table) -> tuple[pa.Table, int]:
        if self.job.where is None:
            return table, 0
        from vaxseq.convert.selection import select_rows

        kept = select_rows(table, self.job.where)
        return kept, table.num_rows - kept.num_rows


def chosen(job: Job, reader: Reader) -> dict[str, str]:
    """Source names to dataset names, in order.

    Raises:
        ColumnNotFoundError: a chosen or renamed column isn't there.
    """
    names = reader.schema_names()
    for asked in (*(job.columns or ()), *job.rename) if len(job.sources) == 1 else ():
        if asked not in names and asked not in constants(job, reader.source):
            raise ColumnNotFoundError(f"{reader.where}: no column {asked!r}.{did_you_mean(asked, names)}")
    there = frozenset(names)
    kept = [name for name in (job.columns or names) if name in there]
    for name, reason in reader.unreadable().items():
        if name in kept:
            others = [one for one in kept if one not in reader.unreadable()]
            raise SchemaError(
                f"{reader.where}: column {name!r}: {reason}. Choose the columns to convert, without it: "
                f"columns={others}.",
                options={"columns": others},
            )
    return {name: job.rename.get(name, name) for name in kept}


def constants(job: Job, source: Source) -> dict[str, str | None]:
    """Columns with one value for a whole source: its hive partitions and its path."""
    found: dict[str, str | None] = {key: None if value in _NO_PARTITION else value for key, value in source.partitions}
    if job.path_column:
        found[job.path_column] = source.name
    if job.columns is not None:
        found = {key: value for key, value in found.items() if key in job.columns or key == job.path_column}
    return {job.rename.get(key, key): value for key, value in found.items()}


def declared_types(job: Job) -> dict[str, pa.DataType]:
    """The types that the schema demands, as they are stored."""
    if job.schema is None:
        return {}
    return {one.name: storable_type(one.arrow_type, "schema", one.name) for one in job.schema.columns}


def _retype(parsed: Parsed, name: str, kind: pa.DataType | None, demanded: bool, where: str) -> None:
    """A typed source's column as the dataset's type; a demanded type is cast value by value where it must."""
    column = parsed.table[name]
    if kind is None or pa.types.is_null(kind) or column.type.equals(kind):
        if kind is None or not pa.types.is_null(kind):
            return
        kind = column.type
    if demanded and is_text(kind):
        column = column.cast(pa.string()) if not is_text(column.type) else column
    elif demanded:
        column = _cast_demanded(parsed, name, column, kind)
    elif is_text(kind) and is_text(column.type):
        pass  # the stage encodes or decodes
    else:
        wider = common_type(column.type, kind, grow=True)
        if wider is None:
            raise SchemaError(
                f"{where}: column {name!r}: got {type_name(column.type)}, expected {type_name(kind)} as before. "
                f"Declare one type for it in schema=."
            )
        column = cast_exactly(column, wider, f"{where}: column {name!r}")
    parsed.table = parsed.table.set_column(parsed.table.column_names.index(name), name, column)


def _cast_demanded(parsed: Parsed, name: str, column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if (pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_duration(kind)) and _same_family(
        column.type, kind
    ):
        return _cast_times(parsed, name, column, kind)
    if pa.types.is_floating(kind) and pa.types.is_floating(column.type) and kind.bit_width < column.type.bit_width:
        values = column.cast(kind)
        wrong = pc.and_(pc.is_inf(values), pc.invert(pc.is_inf(column)))
        return _without(parsed, wrong, name, column, values, kind)
    if pa.types.is_fixed_size_list(kind) and pa.types.is_fixed_size_list(column.type):
        column = _resized(parsed, name, column, kind)
    try:
        if is_text(column.type):
            raise pa.ArrowInvalid("text is parsed cell by cell")
        return column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        if array_shape(kind)[0] or (isinstance(error, pa.ArrowNotImplementedError)):
            raise SchemaError(
                f"schema: column {name!r}: {type_name(column.type)} can't become {type_name(kind)}: {error}."
            ) from error
    cells = column.cast(pa.string()).combine_chunks()
    values, bad = type_inference.parse(cells, kind, type_inference.TextFormat())
    _reject(parsed, bad, name, cells, f"not a {type_name(kind)}")
    values = values.filter(pa.array(~bad))
    return pa.chunked_array([values])


def _resized(parsed: Parsed, name: str, column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Array rows of another length: padded with missing elements; one whose elements have no room is a bad row."""
    width, known = kind.list_size, column.type.list_size
    if width == known:
        return column
    values = pa.chunked_array(
        [fixed_lists(chunk, width) for chunk in column.chunks], pa.list_(column.type.value_type, width)
    )
    if width > known:
        return values
    beyond = [pc.list_slice(chunk, width, return_fixed_size_list=False) for chunk in column.chunks]
    wrong = pa.chunked_array(
        [pa.array([one is not None and any(x is not None for x in one) for one in rest.to_pylist()], pa.bool_())
         for rest in beyond], pa.bool_(),
    )  # fmt: skip
    return _without(parsed, wrong, name, column, values, kind)


def _same_family(a: pa.DataType, b: pa.DataType) -> bool:
    instants = [pa.types.is_timestamp(one) or pa.types.is_date(one) for one in (a, b)]
    return all(instants) or (pa.types.is_duration(a) and pa.types.is_duration(b))


def _cast_times(parsed: Parsed, name: str, column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Times in another unit; one that the unit can't hold, and what would lose a part of it, is a bad row."""
    values = column.cast(kind, safe=False)
    wrong = pc.not_equal(values.cast(column.type, safe=False), column)
    return _without(parsed, wrong, name, column, values, kind)


def _without(
    parsed: Parsed, wrong: pa.ChunkedArray, name: str, column: pa.ChunkedArray, values: pa.ChunkedArray, kind: Any
) -> pa.ChunkedArray:
    """The values without the wrong ones, whose rows become bad."""
    mask = np.asarray(pc.fill_null(wrong, False), dtype=bool)
    if not mask.any():
        return values
    _reject(parsed, mask, name, column, f"not a {type_name(kind)}")
    return values.filter(pa.array(~mask))


def _check(parsed: Parsed, column: Column) -> None:
    """Rejects the rows whose value the declaration doesn't allow."""
    cells = parsed.table[column.name].combine_chunks()
    if not column.nullable:
        _reject(parsed, np.asarray(cells.is_null()), column.name, cells, "missing, but the schema says nullable: false")
        cells = parsed.table[column.name].combine_chunks()
    if column.minimum is not None or column.maximum is not None:
        _reject(parsed, _outside(cells, column), column.name, cells, f"outside {column.minimum} to {column.maximum}")
        cells = parsed.table[column.name].combine_chunks()
    if column.categories is not None:
        words = cells.dictionary_decode() if pa.types.is_dictionary(cells.type) else cells
        known = pc.or_(pc.is_in(words, pa.array(column.categories, pa.string())), pc.is_null(words))
        _reject(parsed, ~np.asarray(known), column.name, words, f"none of the categories {list(column.categories)}")


def _outside(cells: pa.Array, column: Column) -> npt.NDArray[np.bool_]:
    kind = cells.type
    if array_shape(kind)[0]:
        flat, width = cells, 1
        while pa.types.is_fixed_size_list(flat.type):
            width *= flat.type.list_size
            flat = flat.values.slice(flat.offset * flat.type.list_size, len(flat) * flat.type.list_size)
        return _outside(flat, column).reshape(len(cells), width).any(axis=1) & ~np.asarray(cells.is_null())
    wrong = pa.array(np.zeros(len(cells), bool))
    if column.minimum is not None:
        wrong = pc.or_(wrong, pc.fill_null(pc.less(cells, pa.scalar(column.minimum)), False))
    if column.maximum is not None:
        wrong = pc.or_(wrong, pc.fill_null(pc.greater(cells, pa.scalar(column.maximum)), False))
    return np.asarray(wrong, dtype=bool)


def _reject(parsed: Parsed, wrong: npt.NDArray[np.bool_], name: str, cells: pa.Array, reason: str) -> None:
    """Takes the wrong rows out of the table and puts them on the list."""
    rows = np.flatnonzero(wrong)
    if rows.size == 0:
        return
    origin = parsed.ordinals()
    if pa.types.is_timestamp(cells.type) or pa.types.is_date(cells.type):
        cells = cells.cast(pa.string())  # Python's times end with the year 9999
    for row in rows.tolist():
        value = cells[row].as_py()
        parsed.bad.append(BadRow(int(origin[row]), name, None if value is None else str(value), reason))
    parsed.origin = origin[~wrong]
    parsed.table = parsed.table.filter(pa.array(~wrong))
