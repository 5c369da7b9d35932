"""The first rows as a model would get them: shapes, types, ranges, and what looks wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vaxseq.errors import OptionError, SelectionError
from vaxseq.expressions import compile_expression, parse, selection_mask
from vaxseq.expressions.program import ProgramBuilder
from vaxseq.expressions.values import Value
from vaxseq.features.compile import column_nodes
from vaxseq.features.display import Display
from vaxseq.features.records import fill
from vaxseq.layout import Field, Role
from vaxseq.report.html import Head, Heading, Row

if TYPE_CHECKING:
    from vaxseq.features.state import FittedFeatures

LARGE = 1000.0
_CHUNK_ROWS = 65_536
_HEADINGS = (
    Heading("feature"),
    Heading("shape", "quiet"),
    Heading("min", "number"),
    Heading("mean", "number"),
    Heading("max", "number"),
    Heading("first rows", "code"),
    Heading("look at", "warning"),
)


def preview(fitted: FittedFeatures, frame: Any, *, rows: int, where: str | None) -> Display:
    """See `FittedFeatures.preview`."""
    from vaxseq.frame import source_of

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
    values, count = _first_rows(fitted, source, recipe.program.columns, rows, where)
    outputs = recipe.program.run(values)
    arrays = fill(recipe, outputs, count, may_miss=[field.name for field in recipe.fields])
    lines: list[Row] = []
    data: dict[str, Any] = {}
    warned = 0
    for field in recipe.fields:
        array = arrays[field.name].reshape(count, field.width)
        lines.append(Head(f"{field.role} {field.name}", f"{field.dtype} {(count, *field.shape)}"))
        for part in field.parts:
            block = array[:, part.start : part.start + part.width]
            missing = int(np.count_nonzero(outputs[part.output].is_missing()))
            low, mean, high = _range(block)
            problems = _problems(field, block, missing)
            warned += bool(problems)
            shown = [_show(block[row]) for row in range(min(3, count))]
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
    return Display(f"First {count:,} rows", _HEADINGS, tuple(lines), notes, data)


def _first_rows(
    fitted: FittedFeatures, source: Any, columns: tuple[str, ...], rows: int, where: str | None
) -> tuple[dict[str, Value], int]:
    """The first chosen rows of these columns, out of the first chunk that has any."""
    condition = None
    needed = columns
    if where is not None:
        builder = ProgramBuilder()
        nodes = column_nodes(fitted.feature_set.derived, builder, source.names)
        condition = builder.build([compile_expression(parse(where, where="where"), builder, nodes)])
        selection_mask(condition.run(source.empty(condition.columns))[0])
        needed = tuple(dict.fromkeys([*columns, *condition.columns]))
    for start in range(0, source.n_rows, _CHUNK_ROWS):
        stop = min(start + _CHUNK_ROWS, source.n_rows)
        mask = source.filter_mask(start, stop)
        if mask is None and condition is None:
            stop = min(stop, start + rows)
            return dict(source.read(columns, start, stop)), stop - start
        values = source.read(needed, start, stop)
        if condition is not None:
            chosen = selection_mask(condition.run(values)[0])
            mask = chosen if mask is None else mask & chosen
        places = np.flatnonzero(mask)[:rows]
        if len(places):
            return {name: values[name].take(places) for name in columns}, len(places)
    raise SelectionError("preview: no rows; the frame's filter and where choose none. Choose other rows")


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
