"""Text to a vetted tree. Nothing of the text is ever evaluated: what isn't on the allow-list is refused."""

from __future__ import annotations

import ast
import copyreg
import re
import warnings
from typing import Any, NoReturn

from vaxseq.errors import ExpressionError, did_you_mean
from vaxseq.expressions.functions import CONSTANTS, FUNCTIONS, NAMESPACES
from vaxseq.expressions.syntax import BINARY, COMPARE, REMEDIES, UNARY, WORDS
from vaxseq.expressions.table import REQUIRED, Function, Parameter
from vaxseq.expressions.tree import Call, Column, Constant, Expression, Node, Option
from vaxseq.expressions.written import text_of

MAX_CHARACTERS = 10_000
MAX_NODES = 2_000
MAX_DEPTH = 100
MAX_POWER = 1_024
MAX_LIST = 1_000
_MAX_LABEL = 60


def parse(text: str, *, where: str = "expression") -> Expression:
    """Vets an expression against the allow-list.

    A column whose name isn't an identifier, is a Python keyword or one of pi, e, nan and inf is written
    ``col("wind speed")``.

    Args:
        text: The expression, in vaex's syntax; or a vaex expression, whose text is vetted likewise.
        where: What messages begin with, such as ``features.yaml:14 columns.headwind``.

    Raises:
        ExpressionError: it isn't a valid expression, is too long, too deep or too large, or uses anything
            that the table (`vaxseq.expressions.functions.table`) doesn't have.

    >>> sorted(parse("wind_speed * cos(wind_dir * pi / 180)").names)
    ['wind_dir', 'wind_speed']
    >>> parse("x.__class__")
    Traceback (most recent call last):
    vaxseq.errors.ExpressionError: expression: character 1: a name with '__' isn't allowed; got '__class__'.
    """
    text = text_of(text)
    if not isinstance(text, str):
        raise ExpressionError(f"{where}: an expression is a text; got {type(text).__name__}.")
    return _Vetting(text, where).expression()


class _Vetting:
    """One text on its way to a tree."""

    def __init__(self, text: str, where: str) -> None:
        self._where = where
        self._names: set[str] = set()
        self._nodes = 0
        if len(text) > MAX_CHARACTERS:
            self._refuse(f"too long; got {len(text)} characters, expected at most {MAX_CHARACTERS}.")
        if "\n" in text.strip() or "\r" in text.strip():
            if "#" in text:  # on one line, a comment would swallow what follows it
                self._refuse("an expression of several lines can't hold '#'. Leave comments to the file around it.")
            text = re.sub(r"[\r\n]", " ", text)
        self._text = text.strip()
        self._bytes = self._text.encode("utf-8", "replace")

    def expression(self) -> Expression:
        root = self._parsed()
        tree = self._visit(root, 1)
        if not self._names:
            self._refuse("it reads no column; expected at least one. Name a column of the data.")
        return Expression(ast.unparse(root), frozenset(self._names), tree, self._where)

    def _parsed(self) -> ast.expr:
        if not self._text:
            self._refuse("it is empty; expected an expression such as `x + 1`.")
        try:
            if "\\" not in self._text:
                return ast.parse(self._text, mode="eval").body
            with warnings.catch_warnings():  # "\d" in a pattern means what it says
                warnings.simplefilter("ignore")
                return ast.parse(self._text, mode="eval").body
        except SyntaxError as error:
            what = f"character {error.offset}: " if error.offset else ""
            hint = 'A column with such a name is written col("name").'
            if re.search(r"[^=<>!]=[^=]", self._text):
                hint = "Equality is written =="
            elif "&&" in self._text or "||" in self._text:
                hint = "Conditions are joined by and, or, & and |"
            self._refuse(f"{what}not an expression; {error.msg}. {hint}")
        except (ValueError, MemoryError, RecursionError) as error:
            return self._refuse(f"it can't be parsed; {str(error) or 'nested too deeply'}.")

    def _visit(self, node: ast.expr, depth: int) -> Node:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._refuse(f"too large; expected at most {MAX_NODES} parts. Split it into derived columns.")
        if depth > MAX_DEPTH:
            self._refuse(f"nested too deeply; expected at most {MAX_DEPTH} levels. Split it into derived columns.")
        if isinstance(node, ast.Constant):
            return self._constant(node)
        if isinstance(node, ast.Name):
            return self._name(node)
        if isinstance(node, ast.BinOp):
            return self._binary(node, depth)
        if isinstance(node, ast.UnaryOp):
            return self._unary(node, depth)
        if isinstance(node, ast.BoolOp):
            parts = [self._visit(one, depth + 1) for one in node.values]
            return self._chain(node, parts, "&" if isinstance(node.op, ast.And) else "|")
        if isinstance(node, ast.Compare):
            return self._comparison(node, depth)
        if isinstance(node, ast.Call):
            return self._call(node, depth)
        if isinstance(node, ast.Attribute):
            return self._attribute(node, depth)
        return self._refuse_node(node)

    def _constant(self, node: ast.Constant) -> Constant:
        value = node.value
        if isinstance(value, bool | float | str):
            if isinstance(value, str) and not _encodable(value):
                self._refuse_at(node, "a text that isn't valid Unicode isn't allowed.")
            return Constant(value)
        if isinstance(value, int):
            if not -(2**63) <= value < 2**63:
                self._refuse_at(
                    node, f"int64 can't hold this integer of {len(str(value))} digits. Write it as a float."
                )
            return Constant(value)
        remedy = " For missing values write ismissing(x)." if value is None else ""
        return self._refuse_at(node, f"a constant of this kind isn't allowed; got {type(value).__name__}.{remedy}")

    def _name(self, node: ast.Name) -> Node:
        self._no_dunder(node, node.id)
        if node.id in CONSTANTS:
            return Constant(CONSTANTS[node.id], node.id)
        self._names.add(node.id)
        return Column(node.id)

    def _binary(self, node: ast.BinOp, depth: int) -> Node:
        sign = BINARY.get(type(node.op))
        if sign is None:
            self._refuse_node(node.op, node)
        left, right = self._visit(node.left, depth + 1), self._visit(node.right, depth + 1)
        if sign == "**" and isinstance(right, Constant) and isinstance(right.value, int | float):
            if abs(right.value) > MAX_POWER:
                self._refuse_at(node.right, f"too large a power; got {right.value}, expected at most {MAX_POWER}.")
        return Call(sign, (left, right), self._label(node))

    def _unary(self, node: ast.UnaryOp, depth: int) -> Node:
        below = node.operand
        if isinstance(node.op, ast.USub) and isinstance(below, ast.Constant) and type(below.value) in (int, float):
            self._nodes += 1
            return self._constant(ast.copy_location(ast.Constant(-below.value), node))  # type: ignore[operator]
        return Call(UNARY[type(node.op)], (self._visit(below, depth + 1),), self._label(node))

    def _comparison(self, node: ast.Compare, depth: int) -> Node:
        parts: list[Node] = []
        left, left_at = self._visit(node.left, depth + 1), node.left
        for op, right_at in zip(node.ops, node.comparators, strict=True):
            if isinstance(op, ast.In | ast.NotIn):
                if len(node.ops) > 1:
                    self._refuse_at(node, "`in` can't be chained with other comparisons. Put it in parentheses.")
                if not isinstance(right_at, ast.List | ast.Tuple):
                    self._refuse_at(
                        right_at, "`in` takes a list of constants. For part of a text write s.str.contains()."
                    )
                found = Call("isin", (left, Option(self._list(right_at))), self._label(node))
                return found if isinstance(op, ast.In) else Call("~", (found,), self._label(node))
            sign = COMPARE.get(type(op))
            if sign is None:
                self._refuse_node(op, node)
            right = self._visit(right_at, depth + 1)
            for one, at in ((left, left_at), (right, right_at)):
                if isinstance(one, Constant) and one.name == "nan":
                    self._refuse_at(at, "a comparison with nan is always missing. Write ismissing(x).")
            parts.append(Call(sign, (left, right), self._label(node)))
            left, left_at = right, right_at
        return self._chain(node, parts, "&")

    def _chain(self, node: ast.expr, parts: list[Node], sign: str) -> Node:
        result = parts[0]
        for part in parts[1:]:
            result = Call(sign, (result, part), self._label(node))
        return result

    def _attribute(self, node: ast.Attribute, depth: int) -> Node:
        self._no_dunder(node, node.attr)
        space = node.value
        if not isinstance(space, ast.Attribute) or space.attr not in NAMESPACES:
            self._no_such_attribute(node)
        entry = self._accessor(node, space.attr)
        if not entry.is_property:
            self._refuse_at(node, f"{entry.name} is called; write {entry.signature}.")
        return Call(entry.name, (self._visit(space.value, depth + 2),), self._label(node))

    def _call(self, node: ast.Call, depth: int) -> Node:
        target = node.func
        if isinstance(target, ast.Name):
            self._no_dunder(target, target.id)
            if target.id == "col":
                return self._column(node)
            entry = FUNCTIONS.get(target.id)
            if entry is None or entry.operator:
                known = [one.name for one in FUNCTIONS.values() if not one.operator and "." not in one.name]
                self._refuse_at(target, f"no such function {target.id!r}.{did_you_mean(target.id, [*known, 'col'])}")
            return self._bound(entry, node, [], depth)
        if not isinstance(target, ast.Attribute):
            self._refuse_at(target, "only a function of the table can be called.")
        self._no_dunder(target, target.attr)
        space = target.value
        if isinstance(space, ast.Attribute) and space.attr in NAMESPACES:
            entry = self._accessor(target, space.attr)
            if entry.is_property:
                self._refuse_at(target, f"{entry.name} isn't called; write {entry.signature}.")
            return self._bound(entry, node, [space.value], depth + 1)
        entry = FUNCTIONS.get(target.attr)
        if isinstance(space, ast.Name) and space.id in ("np", "numpy", "math"):
            self._refuse_at(target, f"functions are written by their bare name. Write {target.attr}(...).")
        if entry is None or not entry.method:
            self._no_such_attribute(target)
        return self._bound(entry, node, [space], depth)

    def _accessor(self, node: ast.Attribute, space: str) -> Function:
        entry = FUNCTIONS.get(f"{space}.{node.attr}")
        if entry is None:
            known = [name.partition(".")[2] for name in FUNCTIONS if name.startswith(f"{space}.")]
            self._refuse_at(node, f"no such accessor '.{space}.{node.attr}'.{did_you_mean(node.attr, known)}")
        return entry

    def _no_such_attribute(self, node: ast.Attribute) -> NoReturn:
        methods = [one.name for one in FUNCTIONS.values() if one.method]
        hint = did_you_mean(node.attr, [*methods, *NAMESPACES])
        self._refuse_at(node, f"no such attribute '.{node.attr}'.{hint}")

    def _column(self, node: ast.Call) -> Column:
        given = node.args[0] if len(node.args) == 1 and not node.keywords else None
        if not isinstance(given, ast.Constant) or not isinstance(given.value, str):
            self._refuse_at(node, 'col takes one column name, written in place: col("wind speed").')
        if not _encodable(given.value):
            self._refuse_at(given, "a text that isn't valid Unicode isn't allowed.")
        self._names.add(given.value)
        return Column(given.value)

    def _bound(self, entry: Function, node: ast.Call, before: list[ast.expr], depth: int) -> Call:
        """The call with each argument at its parameter's place."""
        given: dict[str, ast.expr] = {}
        positional = [*before, *node.args]
        if len(positional) > len(entry.parameters):
            self._refuse_at(
                node,
                f"{entry.name} takes {len(entry.parameters)} arguments; got {len(positional)}. "
                f"Write {entry.signature}.",
            )
        for parameter, one in zip(entry.parameters, positional, strict=False):
            given[parameter.name] = one
        for keyword in node.keywords:
            if keyword.arg is None:
                self._refuse_at(node, "`**` isn't allowed in a call.")
            known = [parameter.name for parameter in entry.parameters]
            if keyword.arg not in known:
                hint = did_you_mean(keyword.arg, known)
                self._refuse_at(node, f"{entry.name} has no argument {keyword.arg!r}.{hint}")
            if keyword.arg in given:
                self._refuse_at(node, f"{entry.name}: argument {keyword.arg!r} is given twice.")
            given[keyword.arg] = keyword.value
        arguments: list[Node | Option] = []
        for parameter in entry.parameters:
            if parameter.name not in given:
                if parameter.default is REQUIRED:
                    self._refuse_at(node, f"{entry.name} needs {parameter.name!r}. Write {entry.signature}.")
                arguments.append(Option(parameter.default))
            elif parameter.literal:
                arguments.append(Option(self._option(entry, parameter, given[parameter.name])))
            else:
                arguments.append(self._visit(given[parameter.name], depth + 1))
        if entry.vet is not None:
            problem = entry.vet(*[one.value for one in arguments if isinstance(one, Option)])
            if problem is not None:
                self._refuse_at(node, f"{entry.name} takes {problem}.")
        return Call(entry.name, tuple(arguments), self._label(node))

    def _option(self, entry: Function, parameter: Parameter, node: ast.expr) -> Any:
        if tuple in parameter.literal:
            if not isinstance(node, ast.List | ast.Tuple):
                self._refuse_at(node, f"{entry.name} takes a list of constants as {parameter.name}.")
            return self._list(node)
        value = self._literal(node)
        if type(value) not in parameter.literal:
            self._refuse_at(node, f"{entry.name} takes {parameter.takes} as {parameter.name}.")
        problem = parameter.check(value) if parameter.check else None
        if problem is not None:
            self._refuse_at(node, f"{entry.name} takes {problem}.")
        return value

    def _list(self, node: ast.List | ast.Tuple) -> tuple[Any, ...]:
        if len(node.elts) > MAX_LIST:
            self._refuse_at(node, f"too long a list; got {len(node.elts)} constants, expected at most {MAX_LIST}.")
        values = tuple(self._literal(one) for one in node.elts)
        if any(value is None for value in values):
            self._refuse_at(node, "a list holds constants only: numbers, texts, True, False.")
        return values

    def _literal(self, node: ast.expr) -> Any:
        """The constant written at this place, or None."""
        sign = 1
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            node, sign = node.operand, -1
        if not isinstance(node, ast.Constant):
            return None
        value = self._constant(node).value
        if sign > 0:
            return value
        return None if isinstance(value, str | bool) else -value

    def _no_dunder(self, node: ast.expr, name: str) -> None:
        if "__" in name:
            self._refuse_at(node, f"a name with '__' isn't allowed; got {name!r}.")

    def _label(self, node: ast.expr) -> str:
        segment = self._bytes[node.col_offset : node.end_col_offset].decode("utf-8", "replace")
        return segment if len(segment) <= _MAX_LABEL else segment[: _MAX_LABEL - 3] + "..."

    def _refuse_node(self, node: ast.AST, at: ast.expr | None = None) -> NoReturn:
        what = WORDS.get(type(node), f"{type(node).__name__}")
        remedy = REMEDIES.get(type(node), "")
        place = at if at is not None else node
        assert isinstance(place, ast.expr)
        self._refuse_at(place, f"{what} isn't allowed in an expression.{' ' + remedy if remedy else ''}")

    def _refuse_at(self, node: ast.expr, what: str) -> NoReturn:
        character = len(self._bytes[: node.col_offset].decode("utf-8", "replace")) + 1
        self._refuse(f"character {character}: {what}")

    def _refuse(self, what: str) -> NoReturn:
        raise ExpressionError(f"{self._where}: {what}")


def _encodable(text: str) -> bool:
    return not any("\ud800" <= one <= "\udfff" for one in text)


def _parsed(text: str, where: str) -> Expression:
    return parse(text, where=where)


def _reduced(expression: Expression) -> tuple[Any, ...]:
    return _parsed, (expression.text, expression._where)


copyreg.pickle(Expression, _reduced)  # unpickling vets the text again: a pickle has no tree
