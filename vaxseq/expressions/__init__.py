"""Expressions: vetted text, compiled to the one NumPy program. Nothing here evaluates Python."""

from __future__ import annotations

from vaxseq.expressions.compile import compile_expression, evaluate, selection_mask
from vaxseq.expressions.functions import table
from vaxseq.expressions.program import Program, ProgramBuilder
from vaxseq.expressions.tree import Expression
from vaxseq.expressions.values import Value, as_float, from_raw, widen
from vaxseq.expressions.vetting import parse
from vaxseq.expressions.written import name_of, names_of, text_of

__all__ = [
    "Expression",
    "Program",
    "ProgramBuilder",
    "Value",
    "as_float",
    "compile_expression",
    "evaluate",
    "from_raw",
    "name_of",
    "names_of",
    "parse",
    "selection_mask",
    "table",
    "text_of",
    "widen",
]
