"""Rows of a table that an expression selects; the expression runs as everywhere else."""

from __future__ import annotations

from functools import lru_cache

import pyarrow as pa

from vaxseq.errors import ColumnNotFoundError, did_you_mean
from vaxseq.expressions import compile_expression, parse, selection_mask
from vaxseq.expressions.program import Program, ProgramBuilder
from vaxseq.expressions.values import from_raw


@lru_cache(maxsize=16)
def _program(text: str) -> Program:
    expression = parse(text, where="where")
    builder = ProgramBuilder()
    names = {name: builder.column(name) for name in sorted(expression.names)}
    return builder.build([compile_expression(expression, builder, names)])


def select_rows(table: pa.Table, text: str) -> pa.Table:
    """The rows for which the expression is true; a missing result leaves the row out.

    Raises:
        ExpressionError: not an allowed expression.
        ColumnNotFoundError: it names a column that the table lacks.
    """
    program = _program(text)
    for name in program.columns:
        if name not in table.column_names:
            raise ColumnNotFoundError(f"where: no column {name!r}.{did_you_mean(name, table.column_names)}")
    (value,) = program.run({name: from_raw(table[name]) for name in program.columns})
    mask = selection_mask(value)
    return table if mask.all() else table.filter(pa.array(mask))
