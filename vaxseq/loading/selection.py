"""Which rows a Sequence serves: the frame's filter, where=, rows= and missing targets, scanned once into an index."""

from __future__ import annotations

import hashlib
import logging
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vaxseq.dataset.cache import cache_folder, draft_of
from vaxseq.errors import ExpressionError, SelectionError, VaxseqError
from vaxseq.expressions import Expression, compile_expression, parse, selection_mask
from vaxseq.expressions.program import Program, ProgramBuilder
from vaxseq.expressions.values import Mask
from vaxseq.features.program.recipe import Recipe
from vaxseq.frame import Source
from vaxseq.plan.rows import AllRows, RowIndex, RowIndexBuilder, from_arrays
from vaxseq.plan.subset import subset

_BLOCK_ROWS = 1 << 18
_CACHED_FROM_ROWS = 2_000_000  # a shorter scan takes no longer than reading its index back
_CACHE_VERSION = "1"

BlockMask = Callable[[int, int, "Mask | None"], "Mask | None"]


def select_rows(
    source: Source,
    *,
    where: str | None = None,
    rows: slice | npt.ArrayLike | None = None,
    present: Recipe | None = None,
    left_out: dict[str, int] | None = None,
) -> RowIndex:
    """The index of the rows that pass, in this order: the frame's own filter, ``where``, ``rows``, nothing missing.

    Args:
        source: the frame.
        where: a vetted expression; rows for which it is False or missing are left out.
        rows: a slice, positions or mask over what ``where`` leaves.
        present: leave out rows where one of this recipe's fields is missing.
        left_out: gets what left rows out, and how many.

    Raises:
        SelectionError: nothing is left; the message says after which part.
        ExpressionError: ``where`` isn't allowed, or isn't a condition.
    """
    condition = None if where is None else where_program(source, where)
    index: RowIndex
    if condition is None and not source.filtered:
        index = AllRows(source.n_rows)
    else:
        index = _cached(source, f"where={where}", lambda: _scan(source, condition))
    counts = {} if left_out is None else left_out
    by = [*(["the frame's filter"] if source.filtered else []), *([] if where is None else [f"where={where}"])]
    _count(counts, " and ".join(by), source.n_rows - index.n)
    _refuse_empty(index, source, "the frame's filter" if where is None else f"where={where!r}")
    before, index = index.n, subset(index, rows)
    _count(counts, "rows=", before - index.n)
    _refuse_empty(index, source, f"rows={rows!r}")
    if present is not None:
        before, index = index.n, _without_missing(source, index, present)
        _count(counts, "a missing target or weight", before - index.n)
        _refuse_empty(index, source, 'on_missing="drop": every row has a missing target or weight, which')
    return index


def _count(counts: dict[str, int], by: str, rows: int) -> None:
    if rows > 0:
        counts[by] = rows


def where_program(source: Source, where: str) -> Program:
    """The program of a condition, type-checked on the source's columns.

    Raises:
        ExpressionError: it isn't allowed, or isn't a condition.
        ColumnNotFoundError: it names an unknown column.
    """
    expression: Expression = parse(where, where="where")
    builder = ProgramBuilder()
    known = {name: builder.column(name) for name in source.names}
    program = builder.build([compile_expression(expression, builder, known)])
    value = program.run(source.empty(program.columns))[0]
    if value.kind != "bool" or value.shape:
        raise ExpressionError(
            f"where={where!r}: got {value.kind}, expected a condition. Compare with something: x > 0."
        )
    return program


def condition_mask(source: Source, condition: Program | None, start: int, stop: int) -> Mask | None:
    """Which physical rows from ``start`` to ``stop`` pass the frame's filter and a condition; None is all."""
    mask = source.filter_mask(start, stop)
    if condition is None:
        return mask
    columns = source.read(condition.columns, start, stop)
    if mask is None:
        return selection_mask(condition.run(columns)[0]) if columns else _constant(condition, stop - start)
    passed = mask.copy()
    if columns:
        columns = {name: value.compress(mask) for name, value in columns.items()}
        passed[mask] = selection_mask(condition.run(columns)[0])
    else:
        passed &= _constant(condition, stop - start)
    return passed


def _constant(condition: Program, rows: int) -> Mask:
    value = selection_mask(condition.run({})[0])
    return np.full(rows, bool(value[0]) if len(value) else False)


def _scan(source: Source, condition: Program | None) -> RowIndex:
    builder = RowIndexBuilder()
    for start in range(0, source.n_rows, _BLOCK_ROWS):
        stop = min(start + _BLOCK_ROWS, source.n_rows)
        builder.add(start, condition_mask(source, condition, start, stop), length=stop - start)
    return builder.build(n_rows=source.n_rows)


def _without_missing(source: Source, index: RowIndex, present: Recipe) -> RowIndex:
    kept: list[npt.NDArray[np.bool_]] = []
    for start, stop in index.chunks(_BLOCK_ROWS):
        ids = index.ids(start, stop)
        columns = source.gather(present.program.columns, ids)
        outputs = present.program.run(columns)
        missing = np.zeros(stop - start, dtype=bool)
        for field in present.fields:
            for part in field.parts:
                missing |= outputs[part.output].is_missing()
        kept.append(~missing)
    mask = np.concatenate(kept) if kept else np.zeros(0, dtype=bool)
    return index if mask.all() else subset(index, mask)


def _refuse_empty(index: RowIndex, source: Source, part: str) -> None:
    if source.n_rows == 0:
        raise SelectionError("rows: the frame is empty; got 0 rows, expected at least one. Check what it was made of.")
    if index.n == 0:
        raise SelectionError(
            f"rows: {part} leaves none of the frame's {source.n_rows:,} rows. Loosen it, or check its units."
        )


def _cached(source: Source, key: str, scan: Callable[[], RowIndex]) -> RowIndex:
    """The index from the cache folder, or from a scan; kept under the data's fingerprint."""
    if source.n_rows < _CACHED_FROM_ROWS:
        return scan()
    text = f"{_CACHE_VERSION}|{source.fingerprint()}|{key}"
    file = cache_folder() / f"rows-{hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}.npz"
    try:
        with np.load(file, allow_pickle=False) as stored:
            return from_arrays(dict(stored))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        pass
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, VaxseqError):
        file.unlink(missing_ok=True)  # cut short or of another version: a scan replaces it
    index = scan()
    try:
        _keep(index, file)
    except OSError as error:
        logging.getLogger("vaxseq").warning(
            "the row index isn't kept, so it is scanned again next time: %s. "
            "VAXSEQ_CACHE names a folder that can be written.",
            error,
        )
    return index


def _keep(index: RowIndex, file: Path) -> None:
    with draft_of(file) as draft, open(draft, "wb") as stream:
        np.savez(stream, allow_pickle=False, **index.to_arrays())
