"""Expressions: vetted text, compiled to the one NumPy program. Nothing here evaluates Python."""

from __future__ import annotations

from vaxseq.expressions.compile import compile_expression, evaluate, selection_mask
from vaxseq.expressions.functions import table
from vaxseq.expressions.program import Program, ProgramBuilder
from vaxseq.expressions.tree import Expression
from vaxseq.expressions.values import Value, as_float, from_raw, widen
from vaxseq.expressions.vetting import parse

__all__ = [
    "Expression",
    "Program",
    "ProgramBuilder",
    "Value",
    "as_float",
    "compile_expression",
    "evaluate",
    "from_raw",
    "parse",
    "selection_mask",
    "table",
    "widen",
]
