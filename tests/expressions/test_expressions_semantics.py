"""Every row against a reference in plain Python, where None is missing; and the same bits however rows are blocked."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaxseq.errors import ExpressionError
from vaxseq.expressions import Expression, Value, compile_expression, evaluate, from_raw, parse
from vaxseq.expressions.program import ProgramBuilder

Row = dict[str, Any]
Reference = Callable[[Row], Any]
Case = tuple[str, Reference]  # a text and what it means for one row

LOW, HIGH = -(2**63), 2**63 - 1
EXTREMES = [LOW, LOW + 1, HIGH, HIGH - 1, 2**62, -(2**62), 2**32, 3_037_000_500]
INTEGERS = st.one_of(st.integers(-5, 5), st.sampled_from(EXTREMES))
FLOATS = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -1.5, 2.0, 1e300, -1e300, 1e-310, math.inf, -math.inf]), st.floats(-100, 100)
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "i": st.none() | INTEGERS,
            "j": st.none() | st.integers(-4, 4),
            "x": st.none() | FLOATS,
            "y": st.none() | FLOATS,
            "b": st.none() | st.booleans(),
            "c": st.none() | st.booleans(),
            "s": st.none() | st.sampled_from(["", "a", "B", "ab", "é", "Ω"]),
        }
    ),
    max_size=9,
)
TYPES = {
    "i": pa.int64(),
    "j": pa.int8(),
    "x": pa.float64(),
    "y": pa.float64(),
    "b": pa.bool_(),
    "c": pa.bool_(),
    "s": pa.string(),
}


def columns_of(rows: list[Row]) -> dict[str, Value]:
    return {name: from_raw(pa.array([row[name] for row in rows], kind)) for name, kind in TYPES.items()}


def strict(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Missing in, missing out; NaN is missing."""

    def one(*values: Any) -> Any:
        if any(value is None for value in values):
            return None
        result = fn(*values)
        return None if isinstance(result, float) and math.isnan(result) else result

    return one


def whole(value: int) -> int:
    if not LOW <= value <= HIGH:
        raise OverflowError(value)
    return value


def divided(a: float, b: float) -> float:
    a, b = float(a), float(b)
    if b == 0:
        return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1.0, b)
    return a / b


def floor_divided(a: int, b: int) -> int | None:
    return None if b == 0 else whole(a // b)


def both(a: bool | None, b: bool | None) -> bool | None:
    if a is False or b is False:
        return False
    return None if a is None or b is None else True


def negated(a: bool | None) -> bool | None:
    return None if a is None else not a


def joined(op: str, left: Case, right: Case, fn: Callable[..., Any]) -> Case:
    return f"({left[0]} {op} {right[0]})", lambda row: fn(left[1](row), right[1](row))


def constant(value: Any) -> Case:
    return (f"({value!r})" if not isinstance(value, float) or math.isfinite(value) else "inf"), lambda row: value


def column(name: str) -> Case:
    return name, lambda row: row[name]


SIGNS = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
WHOLES = st.sampled_from([column("i"), column("j")])
WHOLE_LEAVES = st.one_of(WHOLES, st.integers(-3, 3).map(constant))
WHOLE_OPERATIONS = st.sampled_from(["+", "-", "*", "//", "%", "where", "fillmissing", "neg", "**"])
FLOAT_LEAVES = st.one_of(st.sampled_from([column("x"), column("y")]), st.floats(-3, 3).map(constant))
FLOAT_OPERATIONS = st.sampled_from(["+", "-", "*", "/", "where", "minimum", "abs"])
TRUTH_LEAVES = st.sampled_from([column("b"), column("c"), constant(True), constant(False)])
TRUTH_OPERATIONS = st.sampled_from(
    ["and", "&", "or", "|", "^", "~", "not", "number", "number", "text", "missing", "in"]
)
TEXTS = st.sampled_from([column("s"), constant("a"), constant("é")])
NAMES = st.sampled_from(sorted(TYPES))
PYTHON: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}


@cache  # a strategy that is made anew for each draw takes most of the time
@st.composite
def integer_case(draw: st.DrawFn, depth: int = 3) -> Case:
    if depth == 0 or draw(st.booleans()):
        return draw(WHOLE_LEAVES)
    op = draw(WHOLE_OPERATIONS)
    left = draw(integer_case(depth - 1))
    if op == "neg":
        return f"(-{left[0]})", lambda row: strict(lambda a: whole(-a))(left[1](row))
    if op == "**":
        power = draw(st.integers(0, 3))
        return f"({left[0]} ** {power})", lambda row: strict(lambda a: whole(a**power))(left[1](row))
    right = draw(integer_case(depth - 1))
    if op == "where":
        choice = draw(truth_case(depth - 1))
        return f"where({choice[0]}, {left[0]}, {right[0]})", lambda row: pick(choice, left, right, row)
    if op == "fillmissing":
        left = draw(WHOLES)
        return f"fillmissing({left[0]}, {right[0]})", lambda row: filled(left[1](row), right[1](row))
    if op == "//":
        return joined(op, left, right, strict(floor_divided))
    if op == "%":
        return joined(op, left, right, strict(lambda a, b: None if b == 0 else a % b))
    return joined(op, left, right, strict(lambda a, b: whole(PYTHON[op](a, b))))


@cache
def any_case(depth: int) -> st.SearchStrategy[Case]:
    return st.one_of(float_case(depth), integer_case(0))


@cache
def compared() -> st.SearchStrategy[tuple[Case, Case]]:
    return st.one_of(st.tuples(integer_case(1), integer_case(1)), st.tuples(float_case(1), float_case(1)))


def pick(choice: Case, left: Case, right: Case, row: Row) -> Any:
    known = choice[1](row)
    return None if known is None else left[1](row) if known else right[1](row)


def filled(value: Any, filler: Any) -> Any:
    return filler if value is None else value


@cache
@st.composite
def float_case(draw: st.DrawFn, depth: int = 3) -> Case:
    if depth == 0 or draw(st.booleans()):
        return draw(FLOAT_LEAVES)
    op = draw(FLOAT_OPERATIONS)
    left = draw(float_case(depth - 1))
    if op == "abs":
        return f"abs({left[0]})", lambda row: strict(abs)(left[1](row))
    right = draw(any_case(depth - 1))
    as_float = (right[0], lambda row: None if right[1](row) is None else float(right[1](row)))
    if op == "where":
        choice = draw(truth_case(depth - 1))
        return f"where({choice[0]}, {left[0]}, {right[0]})", lambda row: pick(choice, left, as_float, row)
    if op == "minimum":
        return f"minimum({left[0]}, {right[0]})", lambda row: strict(min)(left[1](row), as_float[1](row))
    return joined(op, left, as_float, strict(divided if op == "/" else PYTHON[op]))


@cache
@st.composite
def truth_case(draw: st.DrawFn, depth: int = 3) -> Case:
    if depth == 0:
        return draw(TRUTH_LEAVES)
    op = draw(TRUTH_OPERATIONS)
    if op in ("~", "not"):
        left = draw(truth_case(depth - 1))
        return f"({op} {left[0]})", lambda row: negated(left[1](row))
    if op == "number":
        sign = draw(SIGNS)
        pair = draw(compared())
        return joined(sign, *pair, strict(PYTHON[sign]))
    if op == "text":
        sign = draw(SIGNS)
        return joined(sign, column("s"), draw(TEXTS), strict(PYTHON[sign]))
    if op == "missing":
        name = draw(NAMES)
        return f"ismissing({name})", lambda row: row[name] is None
    if op == "in":
        return "(j not in [1, -2])", lambda row: strict(lambda a: a not in (1, -2))(row["j"])
    left, right = draw(truth_case(depth - 1)), draw(truth_case(depth - 1))
    if op in ("and", "&"):
        return joined(op, left, right, both)
    if op in ("or", "|"):
        return joined(op, left, right, lambda a, b: negated(both(negated(a), negated(b))))
    return joined("^", left, right, strict(lambda a, b: a != b))


def reads_a_column(case: Case) -> bool:
    """Text of constants alone is refused by name, which has its own test."""
    return any(name in re.findall(r"\b[a-z]\b", case[0]) for name in TYPES)


CASES = st.one_of(integer_case(), float_case(), truth_case()).filter(reads_a_column)


def value_or_error(expression: Expression, rows: list[Row]) -> Value | str:
    try:
        return evaluate(expression, columns_of(rows))
    except ExpressionError as error:
        return str(error)


def as_list(value: Value) -> list[Any]:
    missing = value.is_missing()
    return [None if gone else one for one, gone in zip(value.data.tolist(), missing, strict=True)]


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(case=CASES, rows=ROWS)
def test_every_row_is_what_plain_python_says(case: Case, rows: list[Row]) -> None:
    text, reference = case
    expression = parse(text)
    overflow = False
    expected = []
    for row in rows:
        try:
            expected.append(reference(row))
        except OverflowError:
            overflow = True
    got = value_or_error(expression, rows)
    if isinstance(got, str):
        unchosen = "where" in text or "fillmissing" in text  # the program computes both branches
        assert overflow or "missing in every row" in got or (unchosen and "overflow" in got)
        return
    assert not overflow
    assert as_list(got) == expected
    if got.missing is not None:
        assert not got.data[got.missing].any()  # nothing of a garbage value stays under a missing row


@settings(max_examples=200, deadline=None)
@given(case=CASES, rows=ROWS, cut=st.integers(0, 9))
def test_zero_rows_have_the_type_and_blocks_the_bits_of_the_whole(case: Case, rows: list[Row], cut: int) -> None:
    expression = parse(case[0])
    whole_columns = columns_of(rows)
    whole_value = value_or_error(expression, rows)
    if isinstance(whole_value, str):
        return
    cut = min(cut, len(rows))
    parts = [
        evaluate(expression, {name: one.slice(start, stop) for name, one in whole_columns.items()})
        for start, stop in ((0, cut), (cut, len(rows)), (0, 0))
    ]
    assert {part.data.dtype for part in parts} == {whole_value.data.dtype}
    assert b"".join(part.data.tobytes() for part in parts) == whole_value.data.tobytes()
    assert np.concatenate([part.is_missing() for part in parts]).tolist() == whole_value.is_missing().tolist()


FUNCTIONS_OF_X = [
    "sqrt(x)",
    "exp(x / 50)",
    "expm1(y)",
    "log(x)",
    "log1p(x)",
    "log10(x)",
    "log2(y)",
    "sin(x)",
    "cos(x)",
    "tan(y)",
    "arcsin(x / 100)",
    "arccos(y / 100)",
    "arctan(x)",
    "sinh(x / 9)",
    "cosh(y / 9)",
    "tanh(x)",
    "arcsinh(x)",
    "arccosh(x)",
    "arctanh(y / 99)",
    "deg2rad(x)",
    "arctan2(x, y)",
    "hypot(x, y)",
    "x ** y",
    "2 ** x",
    "x ** 2",
    "x ** 0.5",
    "x ** -1",
    "x ** 3.7",
    "k ** y",
    "x // y",
    "x % y",
    "k / 7",
    "minimum(x, y)",
    "maximum(x, k)",
    "clip(x, -1, 1)",
    "round(x, 2)",
    "floor(x)",
    "sign(x)",
    "x * sin(y) + k % 7 - where(x > y, x, -y)",
    "sum(a)",
    "mean(a)",
    "norm(a)",
    "min(a)",
    "max(a)",
    "a * x",
    "a ** 2",
    "a ** y",
    "where(a > x, a, 0)",
    "sum(a * a) / norm(a)",
    "t.dt.hour * x",
    "s.str.len() + k",
]


@pytest.mark.parametrize("text", FUNCTIONS_OF_X)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 333])
def test_bits_do_not_depend_on_the_block(text: str, size: int) -> None:
    random = np.random.default_rng(3)
    n = min(1_000, 100 * size)
    x, y = random.normal(scale=30, size=(2, n))
    x[::9], x[1::9], y[::8], y[3::11] = -0.0, 0.0, 2.0, np.nan
    x[5], x[6], y[7], y[17] = np.inf, -np.inf, 0.5, -1.0
    columns = {
        "x": from_raw(x),
        "y": from_raw(y),
        "k": from_raw(random.integers(-50, 50, n).astype(np.int16)),
        "a": from_raw(random.normal(size=(n, 7)).astype(np.float32)),
        "t": from_raw(random.integers(0, 2**60, n).view("M8[ns]")),
        "s": from_raw(pa.array(random.choice(["a", "bb", "ccc"], n)).dictionary_encode()),
    }
    builder = ProgramBuilder()
    node = compile_expression(parse(text), builder, {name: builder.column(name) for name in columns})
    program = builder.build([node])
    (all_at_once,) = program.run(columns)
    blocks = [
        program.run({name: one.slice(start, min(start + size, n)) for name, one in columns.items()})[0].data
        for start in range(0, n, size)
    ]
    assert np.concatenate(blocks).tobytes() == all_at_once.data.tobytes()


def test_strided_and_unaligned_columns_have_the_bits_of_plain_ones() -> None:
    wide = np.random.default_rng(0).normal(size=(1_000, 3))
    packed = np.zeros(1_000, dtype=[("pad", "i1"), ("x", "f8")])
    packed["x"] = wide[:, 1]
    expected = evaluate("sin(x) ** 3 + exp(x)", {"x": Value(wide[:, 1].copy())}).data.tobytes()
    assert evaluate("sin(x) ** 3 + exp(x)", {"x": Value(wide[:, 1])}).data.tobytes() == expected
    assert evaluate("sin(x) ** 3 + exp(x)", {"x": Value(packed["x"])}).data.tobytes() == expected


def test_inputs_are_never_written_to() -> None:
    x = np.array([1.0, np.nan, 3.0])
    i, b = np.array([1, 2, 3]), np.array([True, False, True])
    mask = np.array([False, True, False])
    for array in (x, i, b, mask):
        array.flags.writeable = False
    columns = {"x": Value(x), "i": Value(i, mask), "b": Value(b, mask), "t": Value(i.view("M8[s]"))}
    texts = (
        "x",
        "+x",
        "i",
        "+i",
        "-i",
        "~b",
        "b & (x > 0)",
        "b | b",
        "abs(i)",
        "i * 1",
        "where(b, i, i)",
        "i.fillna(3)",
        "minimum(x, x)",
        "maximum(i, i)",
        "sign(i)",
        "t.dt.date",
        "t.dt.floor('D')",
        "t.dt.day",
        "b ^ b",
        "fillna(b, True)",
        "round(x)",
        "floor(i)",
        "i.astype('int')",
        "as_datetime(i)",
        "timedelta(i)",
    )
    for text in texts:
        evaluate(text, columns)
