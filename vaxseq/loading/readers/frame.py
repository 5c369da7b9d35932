"""Rows to arrays: read or gather the columns of a chunk, run the program, write each feature into its field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vaxseq.dataset.checksums import CHUNK_BYTES
from vaxseq.errors import FeatureTypeError, MissingValueError
from vaxseq.expressions.values import Mask, Value, as_float
from vaxseq.features.program.recipe import Field, Part, Recipe
from vaxseq.frame import Source, copy_runs
from vaxseq.frame.file_changes import check_read
from vaxseq.loading.readers.ranges import Rounding, check_whole, too_large

Ids = npt.NDArray[np.int64]
Arrays = list[npt.NDArray[Any]]
Span = tuple[int, int, Mask | None]  # rows from start to stop: all, or those under the mask

# a block's intermediate arrays stay in the processor's second-level cache
_BLOCK_BYTES = 1 << 20


class FrameReader:
    """Evaluates a recipe on rows of a source; each call fills one array for each field: new ones, or ``out``'s.

    Thread-safe: between calls it keeps only what it has warned of.
    """

    chunk_bytes = 8 << 20
    random_access = False

    def __init__(self, source: Source, recipe: Recipe, rounding: Rounding | None = None) -> None:
        self.source, self.recipe = source, recipe
        self._columns = recipe.program.columns
        self._block_rows = _block_rows(source, recipe)
        self._rounding = rounding or Rounding()
        _check_types(source, recipe)

    @property
    def from_files(self) -> bool:
        """Whether memory can't hold the data's files, so that rows are read from them."""
        return self.source.from_files

    @property
    def worth_keeping(self) -> bool:
        """Whether rows are quicker to read again from a file of this machine in which they lie whole."""
        return self.source.on_disk or self.source.remote

    @property
    def rows_together(self) -> int:
        """Rows of a column of four bytes that come at once, however few of them are asked for; 1 but for a URL."""
        return CHUNK_BYTES // 4 if self.source.remote else 1

    def check(self) -> None:
        """Refuses to go on with a file that has changed since it was opened.

        Raises:
            DatasetError: naming the file.
        """
        self.source.check()

    def row_bytes(self) -> int:
        """Bytes of one row over all fields."""
        return sum(field.width * field.dtype.itemsize for field in self.recipe.fields)

    def empty(self, rows: int) -> Arrays:
        """Arrays to be filled, one for each field."""
        return [np.empty((rows, *field.shape), field.dtype) for field in self.recipe.fields]

    def read(self, start: int, stop: int, mask: Mask | None = None, *, out: Arrays | None = None) -> Arrays:
        """Rows ``start`` to ``stop`` (those under ``mask``), in order."""
        return self._filled(self.source.read(self._columns, start, stop), (start, stop, mask), out)

    def read_spans(self, spans: Sequence[Span], places: Sequence[Arrays]) -> None:
        """Rows of several (start, stop, mask), each into arrays of its own; what lies in files comes at once."""
        columns = self.source.read_spans(self._columns, [(start, stop) for start, stop, _ in spans])
        for found, span, place in zip(columns, spans, places, strict=True):
            self._filled(found, span, place)

    def _filled(self, columns: dict[str, Value], span: Span, out: Arrays | None) -> Arrays:
        start, stop, mask = span
        if mask is None:
            return self._fill(columns, stop - start, start, out)
        kept = np.flatnonzero(mask)
        columns = {name: value.take(kept) for name, value in columns.items()}
        return self._fill(columns, len(kept), start + kept, out)

    def gather(self, row_ids: Ids, *, out: Arrays | None = None) -> Arrays:
        """The rows ``row_ids``, in their order."""
        return self._fill(self.source.gather(self._columns, row_ids), len(row_ids), row_ids, out)

    def runs(self, starts: Ids, length: int, *, out: Arrays | None = None) -> Arrays:
        """Rows start, ..., start + length - 1 for each of ``starts``, end to end."""
        columns = self.source.gather_runs(self._columns, starts, length)
        ids = (starts[:, None] + np.arange(length)).reshape(-1)
        return self._fill(columns, len(ids), ids, out)

    def _fill(self, columns: dict[str, Value], rows: int, ids: Ids | int, out: Arrays | None) -> Arrays:
        fields = self.recipe.fields
        arrays = self.empty(rows) if out is None else out
        flat = [array.reshape(rows, -1) if array.size else array for array in arrays]
        missing: dict[str, Mask] = {}
        for low in range(0, rows, self._block_rows):
            high = min(low + self._block_rows, rows)
            block = columns if high - low == rows else {name: v.slice(low, high) for name, v in columns.items()}
            values = self.recipe.program.run(block)
            for field, place in zip(fields, flat, strict=True):
                for part in field.parts:
                    hole = self._write(values[part.output], place[low:high], field, part, ids, low)
                    if hole is not None:
                        missing.setdefault(part.name, np.zeros(rows, dtype=bool))[low:high] = hole
        for field, array in zip(fields, flat, strict=True):
            if field.dtype.kind == "f" and array.size and np.isnan(array.min()):
                for part in field.parts:
                    holes = np.isnan(array[:, part.start : part.start + part.width]).any(axis=1)
                    if holes.any():
                        missing[part.name] = np.asarray(holes)
        check_read(self.check)
        if missing:
            raise _missing_error(missing, fields, ids, rows)
        return arrays

    def _write(
        self, value: Value, out: npt.NDArray[Any], field: Field, part: Part, ids: Ids | int, low: int
    ) -> Mask | None:
        """Cast one output into its columns of the field; the rows that an integer field can't hold as missing."""
        data = value.data
        whole = data.dtype.kind in "iu"
        if field.dtype.kind == "f":
            if whole:
                self._rounding.check(data if value.missing is None else data[~value.missing], field, part)
            if value.missing is not None:
                data = as_float(value).data
        elif value.missing is not None and value.missing.any():
            return value.missing
        elif data.dtype.kind == "f":
            hole = value.is_missing()
            if hole.any():
                return hole
        if field.dtype.kind in "iu" and data.size and data.dtype != field.dtype:
            check_whole(data, field, part, _row_ids(ids, low, len(data)))
        target = out[:, part.start] if part.width == 1 else out[:, part.start : part.start + part.width]
        try:
            with np.errstate(over="raise"):
                target[...] = data.reshape(target.shape)
        except FloatingPointError:
            raise too_large(data, field, part, _row_ids(ids, low, len(data))) from None
        return None


def _row_ids(ids: Ids | int, low: int, rows: int) -> Ids:
    return np.arange(ids + low, ids + low + rows) if isinstance(ids, int) else ids[low : low + rows]


def _missing_error(missing: dict[str, Mask], fields: tuple[Field, ...], ids: Ids | int, rows: int) -> MissingValueError:
    role = {part.name: field for field in fields for part in field.parts}
    name, hole = next(iter(missing.items()))
    places = np.flatnonzero(hole)
    shown = places[:3] + ids if isinstance(ids, int) else ids[places[:3]]
    listed = ", ".join(str(int(row)) for row in shown) + (", ..." if len(places) > 3 else "")
    others = f" (and {len(missing) - 1} more features)" if len(missing) > 1 else ""
    field = role[name]
    if field.role == "input":
        remedy = "Say what a missing value becomes: an impute step, or a where= that leaves such rows out."
    else:
        remedy = 'Pass on_missing="drop" to leave such rows out, or say what a missing value becomes.'
    return MissingValueError(
        f"{field.role} {field.name!r}, {name!r}: missing in {len(places):,} of {rows:,} rows{others}; "
        f"row ids {listed}. {remedy}"
    )


def _block_rows(source: Source, recipe: Recipe) -> int:
    """Rows for which the widest column and output fill the cache as float64."""
    widest = max(
        [1, *(int(np.prod(v.shape)) for v in source.empty(recipe.program.columns).values() if v.kind != "text")]
    )
    widest = max([widest, *(part.width for field in recipe.fields for part in field.parts)])
    return int(np.clip(_BLOCK_BYTES // (8 * widest), 64, 32_768))


def _check_types(source: Source, recipe: Recipe) -> None:
    values = recipe.program.run(source.empty(recipe.program.columns))
    for field in recipe.fields:
        for part in field.parts:
            value = values[part.output]
            where = f"{field.role} {field.name!r}, {part.name!r}"
            if value.kind in ("text", "datetime", "timedelta"):
                remedy = {
                    "text": "Add a step that makes numbers of it, such as vocabulary; a target takes classes: true.",
                    "datetime": "Add a step such as parts, cyclical or elapsed.",
                    "timedelta": "Take its seconds in an expression.",
                }[value.kind]
                raise FeatureTypeError(f"{where}: got {value.kind}, expected numbers. {remedy}")
            if field.dtype.kind in "iu" and value.kind == "float":
                raise FeatureTypeError(
                    f"{where}: got fractions (float64) for a block of {field.dtype}, which would cut them off. "
                    "Use a float dtype, or round and cast."
                )


def take_runs(
    array: npt.NDArray[Any], starts: Ids, length: int, *, out: npt.NDArray[Any] | None = None
) -> npt.NDArray[Any]:
    """Rows start, ..., start + length - 1 for each start, shape (starts, length, ...)."""
    shape = (len(starts), length, *array.shape[1:])
    flat = None if out is None else out.reshape(len(starts) * length, *array.shape[1:])
    return copy_runs(array, starts, length, flat).reshape(shape)


def take_rows(
    array: npt.NDArray[Any], ids: npt.NDArray[np.integer], *, out: npt.NDArray[Any] | None = None
) -> npt.NDArray[Any]:
    """Rows of a contiguous array, into ``out`` or a new one; each is moved as one item, which NumPy does quicker."""
    if out is None:
        out = np.empty((len(ids), *array.shape[1:]), array.dtype)
    if array.ndim == 1:
        return np.take(array, ids, out=out, mode="clip")
    if array.size and len(ids):
        whole = np.dtype((np.void, array.strides[0]))
        np.take(
            array.reshape(len(array), -1).view(whole)[:, 0],
            ids,
            out=out.reshape(len(ids), -1).view(whole)[:, 0],
            mode="clip",
        )
    return out
