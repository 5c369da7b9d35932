"""The first rows as a model would get them: shapes, types, ranges, and what looks wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from vaxseq.display.html import Head, Heading, Row
from vaxseq.display.tables import Display
from vaxseq.errors import OptionError, SelectionError
from vaxseq.expressions import compile_expression, parse, selection_mask
from vaxseq.expressions.program import ProgramBuilder
from vaxseq.expressions.values import Value
from vaxseq.features.learning.fitted import Fitted
from vaxseq.features.program.compile import column_nodes
from vaxseq.features.program.recipe import Field, Role
from vaxseq.features.records.records import fill
from vaxseq.frame import source_of

LARGE = 1000.0
_CHUNK_ROWS = 65_536
_HEADINGS = (
    Heading("feature"),
    Heading("shape", "quiet", spare=True),
    Heading("min", "number"),
    Heading("mean", "number"),
    Heading("max", "number"),
    Heading("some rows", "code", spare=True),
    Heading("look at", "warning"),
)


def preview(fitted: Fitted, frame: Any, *, rows: int, where: str | None, places: int = 1) -> Display:
    """See `FittedFeatures.preview`. With several ``places`` the rows come from all over the frame."""
    if rows < 1:
        raise OptionError(f"rows: got {rows}, expected at least 1")
    source = source_of(frame)
    present = set(source.names)
    roles: list[Role] = ["input"]
    for role in ("target", "weight"):
        groups = [group for group in fitted.groups if group.role == role]
        if groups and all(fitted.reads(group) <= present for group in groups):
            roles.append(role)
    recipe = fitted.recipe(source.types(), roles=roles)
    source = fitted.source_of(source, roles)
    pieces = _rows(fitted, source, recipe.program.columns, rows, where, places)
    if not pieces:
        raise SelectionError("preview: no rows; the frame's filter and where choose none. Choose other rows")
    count = sum(size for _, size in pieces)
    outputs = [recipe.program.run(values) for values, _ in pieces]
    may_miss = [field.name for field in recipe.fields]
    filled = [fill(recipe, one, size, may_miss=may_miss) for one, (_, size) in zip(outputs, pieces, strict=True)]
    some = list(range(min(3, count))) if places == 1 else sorted({0, count // 2, count - 1})
    lines: list[Row] = []
    data: dict[str, Any] = {}
    warned = 0
    for field in recipe.fields:
        array = np.concatenate([one[field.name].reshape(-1, field.width) for one in filled])
        lines.append(Head(f"{field.role} {field.name}", f"{field.dtype} {(count, *field.shape)}"))
        for part in field.parts:
            block = array[:, part.start : part.start + part.width]
            missing = sum(int(np.count_nonzero(one[part.output].is_missing())) for one in outputs)
            low, mean, high = _range(block)
            problems = _problems(field, block, missing)
            warned += bool(problems)
            shown = [_show(block[row]) for row in some]
            numbers = [_number(one, field) for one in (low, mean, high)]
            lines.append(
                (
                    part.name,
                    f"× {part.width}" if part.width > 1 else "",
                    *numbers,
                    "  ".join(shown),
                    "; ".join(problems),
                )
            )
            data[f"{field.role}.{field.name}.{part.name}"] = {
                "dtype": str(field.dtype),
                "width": part.width,
                "min": low,
                "mean": mean,
                "max": high,
                "missing": missing,
                "warnings": problems,
            }
    notes = (f"{warned} to look at" if warned else "nothing looks wrong",)
    title = f"First {count:,} rows" if places == 1 else f"{count:,} rows from all over"
    return Display(title, _HEADINGS, tuple(lines), notes, data)


def _rows(
    fitted: Fitted, source: Any, columns: tuple[str, ...], rows: int, where: str | None, places: int
) -> list[tuple[dict[str, Value], int]]:
    """The first chosen rows of these columns, or as many from so many places; piece by piece, each with its number."""
    condition = None
    needed = columns
    if where is not None:
        builder = ProgramBuilder()
        nodes = column_nodes(fitted.feature_set.derived, builder, source.names)
        condition = builder.build([compile_expression(parse(where, where="where"), builder, nodes)])
        selection_mask(condition.run(source.empty(condition.columns))[0])
        needed = tuple(dict.fromkeys([*columns, *condition.columns]))
    found: list[tuple[dict[str, Value], int]] = []
    wanted = math.ceil(rows / places)
    for start, stop in _chunks(source.n_rows, places):
        mask = source.filter_mask(start, stop)
        if mask is None and condition is None:
            mask = np.ones(min(stop - start, wanted), bool)
            stop = start + len(mask)
        values = source.read(needed, start, stop)
        if condition is not None:
            chosen = selection_mask(condition.run(values)[0])
            mask = chosen if mask is None else mask & chosen
        taken = np.flatnonzero(mask)[:wanted]
        if len(taken):
            found.append(({name: values[name].take(taken) for name in columns}, len(taken)))
        if found and places == 1:
            break
    if not found and places > 1:  # the chosen rows are few, and lie elsewhere
        return _rows(fitted, source, columns, rows, where, 1)
    return found


def _chunks(n_rows: int, places: int) -> Iterator[tuple[int, int]]:
    """All chunks of the frame; or a chunk at the beginning of each of so many equal stretches."""
    starts = range(0, n_rows, _CHUNK_ROWS) if places == 1 else sorted({n_rows * k // places for k in range(places)})
    ends = [*starts[1:], n_rows]
    for start, end in zip(starts, ends, strict=True):
        yield start, min(end, start + _CHUNK_ROWS)


def _range(block: npt.NDArray[Any]) -> tuple[float | None, float | None, float | None]:
    """Least, mean and greatest of the finite values."""
    numbers = block.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    if finite.size == 0:
        return None, None, None
    return float(finite.min()), float(finite.mean()), float(finite.max())


def _problems(field: Field, block: npt.NDArray[Any], missing: int) -> list[str]:
    problems = []
    count = len(block)
    if missing:
        problems.append(f"missing in {missing:,} of {count:,}")
    if block.dtype.kind == "f":
        infinite = int(np.isinf(block).any(axis=1).sum())
        if infinite:
            problems.append(f"infinite in {infinite:,}")
    if count > 1 and missing < count and field.role != "weight" and (block == block[0]).all():
        problems.append("constant")
    if block.dtype.kind == "f" and field.role != "weight":
        _, _, high = _range(np.abs(block))
        if high is not None and high > LARGE:
            problems.append(f"large: up to {high:.3g}. Scale it, as with standardize")
    return problems


def _number(value: float | None, field: Field) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if field.dtype.kind == "f" or value != int(value) else f"{int(value):,}"


def _show(row: npt.NDArray[Any]) -> str:
    shown = ", ".join(f"{one:.4g}" for one in row[:4].tolist())
    if len(row) > 4:
        shown += ", ..."
    return shown if len(row) == 1 else f"({shown})"
