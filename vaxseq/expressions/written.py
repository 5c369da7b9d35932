"""Expressions and columns of a vaex frame (``df.x > 0``, ``df.x``) as the text that is vetted. Nothing is evaluated."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from vaxseq.errors import ExpressionError, OptionError
from vaxseq.expressions.functions import FUNCTIONS, NAMESPACES

_EQUALS: dict[str, type[ast.cmpop]] = {"str_equals": ast.Eq, "str_notequals": ast.NotEq}
_MOST = 1_000


def text_of(value: Any) -> Any:
    """The text of a vaex expression in our syntax; anything else as it is.

    >>> import numpy as np, vaex
    >>> frame = vaex.from_arrays(x=np.arange(3), s=np.array(["a", "b", "c"]))
    >>> text_of((frame.x > 0) & (frame.s.str.upper() == "B"))
    "(x > 0) & (s.str.upper() == 'B')"
    """
    if type(value).__module__ != "vaex.expression" or not hasattr(value, "df"):
        return value
    try:
        tree = ast.parse(value.expression.strip(), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise ExpressionError(f"expression {value.expression!r:.80}: it can't be parsed; {error}.") from error
    return ast.unparse(_Rewriting(value).visit(tree.body))


def name_of(value: Any, where: str) -> Any:
    """The column's name, of ``df.x`` too.

    Raises:
        OptionError: an expression that is more than a column, or no name.
    """
    text = text_of(value)
    if text is value:
        if value is not None and not isinstance(value, str | int):
            raise OptionError(
                f"{where}: got {type(value).__name__}, expected a column's name. Write it as text, as 'x'."
            )
        return value
    node = ast.parse(text, mode="eval").body
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "col":
        return ast.literal_eval(node.args[0])
    remedy = "Add it to the frame, frame['name'] = ..., or write it into a definition"
    raise OptionError(f"{where}: got the expression {text!r}, expected a column. {remedy}")


def names_of(columns: Any, where: str) -> Any:
    """`name_of` of each: one column, a list of them, or a dict of either."""
    if isinstance(columns, Mapping):
        return {name: names_of(one, where) for name, one in columns.items()}
    if isinstance(columns, list | tuple):
        return [name_of(one, where) for one in columns]
    return name_of(columns, where)


class _Rewriting(ast.NodeTransformer):
    """``df['odd name']``, ``str_lower(s)`` and variables that hold lists, as our own syntax has them."""

    def __init__(self, value: Any) -> None:
        self._variables: Mapping[str, Any] = value.df.variables

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        if isinstance(node.value, ast.Name) and node.value.id == "df" and isinstance(node.slice, ast.Constant):
            return _call(ast.Name("col"), [node.slice])
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        arguments: list[ast.expr] = [self.visit(one) for one in node.args]
        if name in _EQUALS and len(arguments) == 2:
            return ast.Compare(arguments[0], [_EQUALS[name]()], [arguments[1]])
        if name == "scalar_datetime" and len(arguments) == 1:
            return arguments[0]
        if name in ("isin", "isin_set") and len(arguments) >= 2:
            return ast.Compare(arguments[0], [ast.In()], [self._listed(arguments[1])])
        space, _, accessor = name.partition("_")
        entry = FUNCTIONS.get(f"{space}.{accessor}") if space in NAMESPACES and arguments else None
        if entry is None:
            return ast.Call(node.func, arguments, node.keywords)
        attribute = ast.Attribute(ast.Attribute(arguments[0], space), accessor)
        return attribute if entry.is_property else ast.Call(attribute, arguments[1:], node.keywords)

    def _listed(self, node: ast.expr) -> ast.expr:
        """A variable's values as constants."""
        if not (isinstance(node, ast.Name) and node.id in self._variables):
            return node
        held = self._variables[node.id]
        held = held.keys() if hasattr(held, "keys") else held
        held = held.tolist() if hasattr(held, "tolist") else list(held)
        if len(held) > _MOST:
            remedy = "Mark these rows in a column of the frame, and use that"
            raise ExpressionError(f"expression: isin of {len(held):,} values; expected at most {_MOST:,}. {remedy}.")
        return ast.List([ast.Constant(one) for one in held])


def _call(function: ast.expr, arguments: list[ast.expr]) -> ast.Call:
    return ast.Call(function, arguments, [])
