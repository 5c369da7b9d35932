"""Rows of a batch as a table: each feature's raw value beside what the model gets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vaxseq.display.html import Head, Heading, Row
from vaxseq.display.tables import Display
from vaxseq.expressions.program import ProgramBuilder
from vaxseq.expressions.values import Value
from vaxseq.features.learning.fitted import Fitted
from vaxseq.features.program.compile import column_nodes, needed_columns, source_node
from vaxseq.features.program.recipe import Field
from vaxseq.features.tables.explanation import plain_value, show_value_of
from vaxseq.frame import Source

Ids = npt.NDArray[np.int64]


def served_table(
    fitted: Fitted | None,
    source: Source,
    fields: Sequence[Field],
    arrays: Sequence[npt.NDArray[Any]],
    row_ids: Ids,
    title: str,
) -> Display:
    """One line a feature, two columns a row: raw and served. Of a window's arrays the last step is shown."""
    raw = _raw(fitted, source, fields, row_ids)
    headings = [Heading("feature")]
    for row in row_ids.tolist():
        headings += [Heading(f"row {row:,}", "code"), Heading("served", "number")]
    rows: list[Row] = []
    data: dict[str, Any] = {"row_ids": row_ids.tolist(), "features": {}}
    for field, array in zip(fields, arrays, strict=True):
        steps = array.shape[1 : array.ndim - len(field.shape)]
        flat = np.asarray(array).reshape(len(array), -1, field.width)[:, -1]
        detail = f"{field.dtype} {tuple(array.shape[1:])}" + (f", the last of {steps[0]} rows" if steps else "")
        rows.append(Head(f"{field.role} {field.name}", detail))
        for part in field.parts:
            key = (field.role, field.name, part.name)
            values = raw[key]
            cells = [part.name]
            kept = []
            for number in range(len(row_ids)):
                served = Value(flat[number : number + 1, part.start : part.start + part.width])
                if part.width == 1:
                    served = Value(served.data[:, 0])
                one = values.slice(number, number + 1)
                cells += [show_value_of(one), show_value_of(served)]
                kept.append({"raw": plain_value(one), "served": plain_value(served)})
            rows.append(tuple(cells))
            data["features"][".".join(key)] = kept
    return Display(title, tuple(headings), tuple(rows), (), data)


def _raw(
    fitted: Fitted | None, source: Source, fields: Sequence[Field], row_ids: Ids
) -> dict[tuple[str, str, str], Value]:
    """What each feature reads in these rows, before its steps."""
    if fitted is None:
        names = [(field.role, field.name, part.name) for field in fields for part in field.parts]
        columns = source.gather(dict.fromkeys(name for *_, name in names), row_ids)
        return {key: columns[key[2]] for key in names}
    wanted = {(field.role, field.name) for field in fields}
    groups = [group for group in fitted.groups if (group.role, group.name) in wanted]
    derived = fitted.feature_set.derived
    builder = ProgramBuilder()
    known = column_nodes(derived, builder, needed_columns(derived, groups))
    places = [place for group in groups for place in group.places]
    program = builder.build([source_node(builder, known, place, fitted.state.learned) for place in places])
    values = program.run(source.gather(program.columns, row_ids))
    keys = [(group.role, group.name, place.name) for group in groups for place in group.places]
    return dict(zip(keys, values, strict=True))
