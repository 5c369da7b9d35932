"""Python's syntax as expressions know it: the operators that they have, and words for what they refuse."""

from __future__ import annotations

import ast

BINARY: dict[type[ast.AST], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
}
UNARY: dict[type[ast.AST], str] = {ast.USub: "neg", ast.UAdd: "pos", ast.Invert: "~", ast.Not: "~"}
COMPARE: dict[type[ast.AST], str] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}
REMEDIES: dict[type[ast.AST], str] = {
    ast.IfExp: "Write where(condition, x, y).",
    ast.Subscript: "For characters of a text write x.str.slice(start, stop).",
    ast.Is: "For missing values write ismissing(x).",
    ast.IsNot: "For missing values write notmissing(x).",
    ast.List: "A list goes after `in`, or into isin(x, [...]).",
    ast.Tuple: "A list goes after `in`, or into isin(x, [...]).",
    ast.JoinedStr: "Join texts with +.",
    ast.MatMult: "For a product write *.",
}
WORDS: dict[type[ast.AST], str] = {
    ast.IfExp: "`... if ... else ...`",
    ast.Subscript: "`[...]`",
    ast.Lambda: "a lambda",
    ast.NamedExpr: "`:=`",
    ast.JoinedStr: "an f-string",
    ast.List: "a list",
    ast.Tuple: "a tuple",
    ast.Dict: "a dictionary",
    ast.Set: "a set",
    ast.ListComp: "a comprehension",
    ast.SetComp: "a comprehension",
    ast.DictComp: "a comprehension",
    ast.GeneratorExp: "a comprehension",
    ast.Starred: "`*`",
    ast.Await: "await",
    ast.Yield: "yield",
    ast.Is: "`is`",
    ast.YieldFrom: "yield from",
    ast.IsNot: "`is not`",
    ast.MatMult: "`@`",
    ast.LShift: "`<<`",
    ast.RShift: "`>>`",
    ast.Slice: "`:`",
}
