"""Hostile expressions are refused before anything of them runs."""

from __future__ import annotations

import ast
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

from vaxseq.errors import ColumnNotFoundError, ExpressionError, FeatureTypeError, VaxseqError
from vaxseq.expressions import Value, evaluate, parse

TOUCH = "open('{sentinel}', 'w')"

HOSTILE = [
    # calls of what Python has built in
    "__import__('os').system('touch {sentinel}')",
    "open('{sentinel}', 'w')",
    "open('{sentinel}', 'w').write('x')",
    "eval('1')",
    "exec('1')",
    "compile('1', '', 'eval')",
    "print(x)",
    "input()",
    "globals()",
    "locals()",
    "vars()",
    "dir(x)",
    "getattr(x, 'data')",
    "setattr(x, 'data', 1)",
    "delattr(x, 'data')",
    "type(x)",
    "object()",
    "super()",
    "breakpoint()",
    "help()",
    "exit()",
    "quit()",
    "memoryview(x)",
    "bytes(10)",
    "bytearray(10)",
    "range(10**9)",
    "iter(x)",
    "next(x)",
    "map(abs, x)",
    "filter(abs, x)",
    "sorted(x)",
    "id(x)",
    "hash(x)",
    "chr(x)",
    "len(x)",
    "pow(10, 10**9)",
    "__build_class__",
    "__builtins__",
    "__builtins__['eval']('1')",
    "__loader__.load_module('os')",
    "__spec__",
    "__name__",
    "x + __file__",
    # attributes
    "x.__class__",
    "x.__class__.__mro__[1].__subclasses__()",
    "().__class__.__bases__[0].__subclasses__()",
    "''.__class__",
    "''.format(x)",
    "'{0.__class__}'.format(x)",
    "'%s' % x.__dict__",
    "x.data",
    "x.data.tofile('{sentinel}')",
    "x.tofile('{sentinel}')",
    "x.dump('{sentinel}')",
    "x.dt",
    "x.str",
    "x.str.__class__",
    "x.dt.__init__()",
    "x.str.encode()",
    "x.dt.hour.__class__",
    "x.str.lower().__class__",
    "x.str.lower.__globals__",
    "x.abs.__globals__",
    "abs.__self__",
    "abs.__globals__['__builtins__']",
    "where.__code__",
    "pi.__class__",
    "x.T",
    "x.astype(object)",
    "x.astype('object')",
    "x.to_numpy()",
    "x.df.export('{sentinel}')",
    "df.export_hdf5('{sentinel}')",
    "np.load('{sentinel}')",
    "np.fromfile('{sentinel}')",
    "numpy.memmap('{sentinel}', mode='w+', shape=1)",
    "np.ctypeslib.load_library('c', '.')",
    "os.system('touch {sentinel}')",
    "sys.exit()",
    "subprocess.run(['touch', '{sentinel}'])",
    "x.str.lower.__call__()",
    "x.where.where(x)",
    # syntax outside the list
    "lambda: 1",
    "(lambda: " + TOUCH + ")()",
    "(lambda f: f(f))(lambda f: f(f))",
    "[" + TOUCH + " for _ in x]",
    "{{" + TOUCH + " for _ in x}}",
    "{{1: " + TOUCH + " for _ in x}}",
    "(" + TOUCH + " for _ in x)",
    "[x for x in ().__class__.__base__.__subclasses__()]",
    "(y := x)",
    "(y := " + TOUCH + ")",
    "f'{{x}}'",
    "f'{{" + "open(1)" + "}}' + x",
    "f'{{x.__class__}}'",
    "x if x else x",
    "x[0]",
    "x['a']",
    "x[:]",
    "x[...]",
    "[x]",
    "[x][0]",
    "(x, x)",
    "{{x}}",
    "{{'a': x}}",
    "*x",
    "abs(*x)",
    "abs(**x)",
    "abs(*[x])",
    "abs(**{{'x': x}})",
    "where(x > 0, y=x, y=x)",
    "abs(x=x, x=x)",
    "abs(x, x)",
    "abs()",
    "abs(x, where=x)",
    "round(x, decimals=x)",
    "round(x, out=x)",
    "x.str.contains(x)",
    "x.str.contains(pattern='a', flags=1)",
    "await x",
    "yield x",
    "(yield x)",
    "(yield from x)",
    "x @ x",
    "x << 2",
    "x >> 2",
    "x is x",
    "x is not x",
    "x in x",
    "x in 'abc'",
    "x in [x]",
    "x in [None]",
    "x in {{1, 2}}",
    "x in [open('{sentinel}', 'w')]",
    "x in [[1]]",
    "None",
    "x == None",
    "...",
    "x + ...",
    "b'bytes'",
    "x + b'bytes'",
    "1j",
    "x + 1j",
    "5",
    "'text'",
    "True",
    "pi",
    # statements
    "import os",
    "from os import system",
    "x = 1",
    "x; y",
    "x\nimport os",
    "x\ny",
    "def f(): pass",
    "class A: pass",
    "del x",
    "assert x",
    "raise x",
    "return x",
    "global x",
    "pass",
    "x: int = 3",
    "x += 1",
    "@x\ndef f(): pass",
    "while True: pass",
    "x # comment\n + y",
    # sizes
    "",
    "   ",
    "x" * 20_000,
    "x + " * 3_000 + "x",
    "(" * 4_000 + "x" + ")" * 4_000,
    "-" * 200 + "x",
    "-" * 9_000 + "x",
    "not " * 300 + "x",
    "~" * 5_000 + "x",
    "abs(" * 120 + "x" + ")" * 120,
    "x" + ".abs()" * 150,
    "x" + ".dt" * 2_000,
    "x + 1" + " + 1" * 150,
    "x < " * 2_500 + "x",
    "x ** 100000",
    "x ** 1e9",
    "x ** -99999",
    "9 ** 9 ** 9 ** 9 + x",
    "x + 10 ** 1000",
    "x + 2 ** 64",
    "x + 9223372036854775807 * 2",
    "x * 99999999999999999999999",
    "x + " + "9" * 5_000,
    "x in [" + "1, " * 1_500 + "]",
    "x + 'a' * 1000000000",
    "x + 0x" + "f" * 100,
    # characters
    "x\x00",
    "\x00",
    "x + '\\ud800'",
    "col('\\ud800')",
    "ｅval('1')",
    "＿＿import＿＿('os')",
    "x.＿＿class＿＿",
    "\u202ex",
    "x\u200b + 1",
    "$x",
    "`x`",
    "x?",
    "!x",
    "'unclosed",
    "x +",
    "x y",
    # col and tables' own doors
    "col(x)",
    "col()",
    "col('x', 'y')",
    "col(name='x')",
    "col('x' + 'y')",
    "col",
    "col.x",
    "neg(x)",
    "pos(x)",
    "dt.hour(x)",
    "x.neg()",
    "x.where(x, x)",
    "x.seconds",
    "x.dt.hour()",
    "x.dt.floor",
    "x.dt.floor('10 weeks')",
    "x.dt.floor('0D')",
    "x.str.contains('(')",
    "x.str.contains('(?P<n>')",
    "x.str.replace('[', 'b', regex=True)",
    "x.str.count('*', regex=True)",
    "as_datetime('now') > x",
    "as_datetime('today') < x",
    "as_datetime('NaT') < x",
    "as_datetime('2014-02-31') < x",
]


class _Watch:
    """Notes every audit event that running code would raise, while it is on."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[str] = []

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        bad = (
            "exec",
            "open",
            "os.system",
            "subprocess.Popen",
            "os.exec",
            "ctypes.dlopen",
            "builtins.input",
            "marshal.loads",
        )
        if self.on and event in bad:
            self.seen.append(f"{event} {arguments!r}")


parse("x.str.contains('a')")  # pyarrow's own first-time imports are not of interest
WATCH = _Watch()
sys.addaudithook(WATCH)


def test_there_are_at_least_a_hundred() -> None:
    assert len(set(HOSTILE)) == len(HOSTILE) >= 200


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_text_is_refused_and_never_run(number: int, tmp_path: Path) -> None:
    sentinel = tmp_path / "sentinel"
    text = HOSTILE[number].replace("{sentinel}", str(sentinel)).replace("{{", "{").replace("}}", "}")
    columns = {"x": Value(np.array([1.0])), "y": Value(np.array([2.0]))}
    WATCH.seen.clear()
    WATCH.on = True
    try:
        with pytest.raises((ExpressionError, FeatureTypeError, ColumnNotFoundError), match="^expression: "):
            evaluate(text, columns)
    finally:
        WATCH.on = False
    assert not WATCH.seen
    assert not sentinel.exists()


def test_the_watch_would_see_code_run(tmp_path: Path) -> None:
    WATCH.seen.clear()
    WATCH.on = True
    try:
        eval(f"open({str(tmp_path / 'sentinel')!r}, 'w').close()")
    finally:
        WATCH.on = False
    assert {seen.split()[0] for seen in WATCH.seen} >= {"exec", "open"}


def test_the_room_never_calls_eval() -> None:
    folder = Path(sys.modules["vaxseq.expressions.compile"].__file__ or "").parent
    banned = {"eval", "exec", "compile", "__import__", "getattr", "globals", "open"}
    for path in sorted(folder.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in banned, f"{path.name}:{node.lineno}"


def test_a_pickle_carries_text_only_and_is_vetted_again() -> None:
    expression = parse("x + 1", where="f.yaml:3")
    blob = pickle.dumps(expression)
    assert pickle.loads(blob) == expression
    assert pickle.loads(blob).names == {"x"}
    forged = blob.replace(b"x + 1", b"x.foo")
    with pytest.raises(ExpressionError, match=r"f\.yaml:3: character 1: no such attribute '\.foo'"):
        pickle.loads(forged)


def test_an_expression_is_frozen() -> None:
    expression = parse("x + 1")
    for name in ("text", "names", "_tree"):
        with pytest.raises(AttributeError):
            setattr(expression, name, "y")


def test_a_column_of_any_name_is_only_a_key() -> None:
    columns = {"__class__": Value(np.array([1.0])), "a b": Value(np.array([2.0])), "eval": Value(np.array([3.0]))}
    assert evaluate("col('__class__') + col('a b') + eval", columns).data.tolist() == [6.0]


def test_non_text_is_refused() -> None:
    with pytest.raises(VaxseqError, match="an expression is a text; got int"):
        parse(3)  # type: ignore[arg-type]
