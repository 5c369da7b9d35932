"""Expressions: what they mean beside pandas and vaex, what they refuse, how they compile."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import vaex

from vaxseq.errors import ColumnNotFoundError, ExpressionError, FeatureTypeError
from vaxseq.expressions import Value, compile_expression, evaluate, from_raw, parse, selection_mask, table
from vaxseq.expressions.functions import FUNCTIONS
from vaxseq.expressions.program import ProgramBuilder

N = 500
RANDOM = np.random.default_rng(7)
TIMES = pd.Series(
    RANDOM.integers(-(2**61), 2**61, N).view("M8[ns]").tolist()
    + [pd.NaT, "1970-01-01", "2016-02-29", "2021-01-03 23:59:59.999"]
).astype("M8[ns]")
TEXTS = pd.Series(
    [*RANDOM.choice(["", " a b ", "Straße", "ÉCOLE", "x1", "42", "N", "hello world", "aXbXc"], N), None, "ÿ"]
)


def as_list(value: Value) -> list[Any]:
    if isinstance(value.data, pa.Array):
        return value.data.to_pylist()
    return [None if gone else one for one, gone in zip(value.data.tolist(), value.is_missing(), strict=True)]


def pandas_list(series: Any) -> list[Any]:
    return [None if one is None or one is pd.NA or one != one else one for one in series.astype(object).tolist()]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize(
    "part",
    ["year", "quarter", "month", "day", "dayofyear", "dayofweek", "weekday", "hour", "minute", "second", "is_leap_year",
     "day_name", "month_name", "weekofyear"],
)  # fmt: skip
def test_parts_of_a_time_agree_with_pandas(part: str, unit: str) -> None:
    series = TIMES.astype(f"M8[{unit}]")
    got = as_list(evaluate(f"t.dt.{part}", {"t": from_raw(series.to_numpy())}))
    accessor = series.dt.isocalendar().week if part == "weekofyear" else getattr(series.dt, part)
    expected = (accessor() if callable(accessor) else accessor).astype(object)
    expected[series.isna()] = None
    assert got == expected.tolist()


@pytest.mark.parametrize("freq", ["D", "h", "15min", "10s", "ms", "7us"])
def test_floor_and_differences_agree_with_pandas(freq: str) -> None:
    columns = {"t": from_raw(TIMES.to_numpy())}
    got = evaluate(f"t.dt.floor('{freq}')", columns)
    np.testing.assert_array_equal(got.data, TIMES.dt.floor(freq).to_numpy())
    since = evaluate("(t - '2000-01-01').dt.total_seconds()", columns).data
    np.testing.assert_allclose(since, (TIMES - pd.Timestamp("2000-01-01")).dt.total_seconds(), rtol=1e-15)
    assert as_list(evaluate("(t - '2000-01-01').td.days", columns)) == pandas_list(
        (TIMES - pd.Timestamp("2000-01-01")).dt.days
    )


def test_times_of_different_units_meet_in_the_finer_one() -> None:
    columns = {
        "day": from_raw(pa.array([0, 1, None], pa.int32()).cast(pa.date32())),
        "ns": from_raw(np.array([1, 86_400 * 10**9, 5], "M8[ns]")),
        "late": from_raw(np.array([10**6], "M8[D]")),
    }
    assert as_list(evaluate("ns > day", columns)) == [True, False, None]
    assert as_list(evaluate("seconds(ns - day)", columns)) == [1e-9, 0.0, None]
    assert as_list(evaluate("day + timedelta(36, 'h') > '1970-01-02 11:00'", columns)) == [True, True, None]
    assert as_list(evaluate("day in ['1970-01-02']", columns)) == [False, True, None]
    with pytest.raises(ExpressionError, match="a time doesn't fit the unit 'ns'"):
        evaluate("late > as_datetime('2020-01-01 00:00:00.123456789')", columns)


@pytest.mark.parametrize("encode", [False, True], ids=["plain", "dictionary"])
@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("s.str.lower()", lambda s: s.str.lower()),
        ("s.str.upper()", lambda s: s.str.upper().str.replace("SS", "ẞ")),
        ("s.str.strip()", lambda s: s.str.strip()),
        ("s.str.strip('aN')", lambda s: s.str.strip("aN")),
        ("s.str.lstrip()", lambda s: s.str.lstrip()),
        ("s.str.len()", lambda s: s.str.len()),
        ("s.str.startswith('a')", lambda s: s.str.startswith("a")),
        ("s.str.endswith('d')", lambda s: s.str.endswith("d")),
        (r"s.str.contains('\d+$')", lambda s: s.str.contains(r"\d+$")),
        ("s.str.contains('a', regex=False)", lambda s: s.str.contains("a", regex=False)),
        ("s.str.count('X')", lambda s: s.str.count("X")),
        ("s.str.replace('X', '--')", lambda s: s.str.replace("X", "--")),
        ("s.str.slice(1, 3)", lambda s: s.str.slice(1, 3)),
        ("s.str.slice(-2)", lambda s: s.str.slice(-2)),
        ("s + '_' + s", lambda s: s + "_" + s),
        ("'<' + s", lambda s: "<" + s),
        ("s.str.isdigit()", lambda s: s.str.isdigit()),
        ("s.fillna('?')", lambda s: s.fillna("?")),
        ("s == 'N'", lambda s: (s == "N").astype(object).where(s.notna(), None)),
        ("s in ['N', '42']", lambda s: s.isin(["N", "42"]).astype(object).where(s.notna(), None)),
        ("where(s == 'N', 'no', s)", lambda s: s.replace({"N": "no"})),
    ],
)
def test_texts_agree_with_pandas(text: str, reference: Any, encode: bool) -> None:
    array = pa.array(TEXTS.tolist())
    got = evaluate(text, {"s": from_raw(array.dictionary_encode() if encode else array)})
    assert as_list(got) == pandas_list(reference(TEXTS))


def test_a_dictionary_stays_one_of_distinct_values() -> None:
    array = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None, 1]), pa.array(["A", "a", None]))
    for column in (array, array.slice(1, 4)):
        got = evaluate("s.str.lower()", {"s": Value(column)})
        assert got.data.to_pylist() == [one and one.lower() for one in column.to_pylist()]
    assert evaluate("s.str.lower()", {"s": Value(array)}).data.dictionary.to_pylist() == ["a"]
    assert as_list(evaluate("s == 'a'", {"s": Value(array)})) == [False, True, None, None, True]
    assert as_list(evaluate("s == s", {"s": Value(array)})) == [True, True, None, None, True]
    assert as_list(evaluate("ismissing(s)", {"s": Value(array)})) == [False, False, True, True, False]
    assert as_list(evaluate("fillmissing(s, '?')", {"s": Value(array)})) == ["A", "a", "?", "?", "a"]


def test_a_dictionary_longer_than_its_block_gives_the_same() -> None:
    many = pa.array([f"v{k}" for k in range(1_000)])
    block = pa.DictionaryArray.from_arrays(pa.array([999, None, 3]), many)
    assert as_list(evaluate("s.str.upper()", {"s": Value(block)})) == ["V999", None, "V3"]
    assert as_list(evaluate("s > 'v5'", {"s": Value(block)})) == [True, None, False]


@pytest.mark.parametrize(
    "text",
    [
        "x + y",
        "x * 2 - y / 3",
        "x ** 2",
        "abs(x) ** y",
        "-x",
        "abs(x)",
        "sqrt(abs(x))",
        "log1p(abs(x))",
        "exp(x)",
        "sin(x) * cos(y)",
        "arctan2(x, y)",
        "where(x > y, x, y)",
        "minimum(x, y)",
        "maximum(x, 0)",
        "clip(x, -1, 1)",
        "(x > 0) & (y < 1)",
        "(x > 0) | ~(y < 1)",
        "k + 1",
        "k * 3",
        "k // 7",
        "k % 7",
        "k / 7",
        "x * pi",
        "k >= 10",
        "k == 3",
        "k.isin([1, 2, 3])",
        "t.dt.hour",
        "t.dt.year",
        "t.dt.dayofweek",
        "s.str.upper()",
        "s.str.len()",
        "s == 'bb'",
        "s.str.contains('b')",
        "where(k > 0, 1, 0)",
        "deg2rad(x)",
        "expm1(x)",
    ],
)
def test_vaex_agrees_where_nothing_is_missing(text: str) -> None:
    arrays = {
        "x": RANDOM.normal(size=N),
        "y": RANDOM.normal(size=N) + 3,
        "k": RANDOM.integers(-50, 50, N),
        "t": RANDOM.integers(0, 2**60, N).view("M8[ns]"),
        "s": pa.array(RANDOM.choice(["a", "bb", "cbc"], N)),
    }
    frame = vaex.from_arrays(**arrays)
    # as its own users write it: with the frame's expressions and vaex's functions as Python objects
    names = {name: frame[name] for name in arrays} | {"pi": np.pi, "abs": abs}
    names |= {name: getattr(frame.func, name) for name in dir(frame.func) if name not in names}
    theirs = eval(text, names).evaluate()
    ours = evaluate(text, {name: from_raw(one) for name, one in arrays.items()})
    if isinstance(ours.data, pa.Array):
        assert ours.data.to_pylist() == pa.array(theirs).to_pylist()
    else:
        theirs = np.asarray(theirs.to_numpy(zero_copy_only=False) if isinstance(theirs, pa.Array) else theirs)
        np.testing.assert_allclose(ours.data.astype(np.float64), theirs.astype(np.float64), rtol=1e-14)


def test_missing_is_never_false() -> None:
    columns = {"arr_delay": from_raw(np.array([31.0, np.nan, -3.0]))}
    late = evaluate("arr_delay >= 30", columns)
    early = evaluate("~(arr_delay >= 30)", columns)
    assert as_list(late) == [True, None, False]
    assert as_list(early) == [False, None, True]
    assert selection_mask(late).tolist() == [True, False, False]
    assert selection_mask(early).tolist() == [False, False, True]


def test_narrow_integers_do_not_wrap() -> None:
    columns = {"u": from_raw(np.array([200, 100], dtype=np.uint8)), "i": from_raw(np.array([2**62, 1]))}
    assert evaluate("u * 2", columns).data.tolist() == [400, 200]
    for text in ("i * 2", "i + i", "i ** 2", "-(i + i - 1) - 2 - i", "i * i"):
        with pytest.raises(ExpressionError, match="integer overflow; got"):
            evaluate(text, columns)
    hidden = {"i": Value(np.array([2**62, 1]), np.array([True, False]))}
    assert as_list(evaluate("i * 2", hidden)) == [None, 2]  # what lies under a missing row can't overflow


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("s + 1", r"s \+ 1: '\+' doesn't take these kinds together; got text and int"),
        ("log(s)", "log.s.: 'log' takes number as x; got text"),
        ("s > 3", "'>' can't compare these kinds; got text and int"),
        ("t > 3", "'>' can't compare these kinds; got datetime and int"),
        ("t + t", "got datetime and datetime"),
        ("x.dt.hour", "'dt.hour' takes datetime as t; got float"),
        ("x.str.lower()", "'str.lower' takes text as s; got float"),
        ("x & 3 > 1", "Put comparisons in parentheses"),
        ("i & 1", "'&' takes two truth values; got int and int"),
        ("~i", "'~' takes a truth value; got int"),
        ("where(x, 1, 0)", "where takes a condition; got float"),
        ("where(x > 0, s, 1)", "where's two results are of one kind; got text and int"),
        ("where(x > 0, t, 1)", "where's two results are of one kind; got datetime and int"),
        ("x in ['a']", "isin takes a list of its column's kind; got float and a list of str"),
        ("s in [1]", "got text and a list of int"),
        ("sum(x)", "sum reduces each row of an array column; got one float a row"),
        ("a + b", r"array columns of different shapes don't combine; got rows of shape \(3,\) and \(2,\)"),
        ("x.fillna('a')", "a filler is of its column's kind; got float and text"),
        ("sqrt('a') + x", r"sqrt\('a'\): 'sqrt' takes number as x; got text"),
    ],
)
@pytest.mark.parametrize("rows", [0, 4])
def test_kinds_that_do_not_fit_are_refused_at_zero_rows_too(text: str, message: str, rows: int) -> None:
    columns = {
        "x": from_raw(np.zeros(rows, np.float32)),
        "i": from_raw(np.zeros(rows, np.int16)),
        "s": from_raw(pa.array(["a"] * rows, pa.string()).dictionary_encode()),
        "t": from_raw(np.zeros(rows, "M8[s]")),
        "a": from_raw(np.zeros((rows, 3))),
        "b": from_raw(np.zeros((rows, 2))),
    }
    with pytest.raises(FeatureTypeError, match=message):
        evaluate(text, columns)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x + sqr(x)", r"^f\.yaml:3: character 5: no such function 'sqr'\. Did you mean 'sqrt'\?"),
        ("x.str.lowr()", r"no such accessor '\.str\.lowr'\. Did you mean 'lower'\?"),
        ("x.fillnaa(0)", r"no such attribute '\.fillnaa'\. Did you mean 'fillna'\?"),
        ("é + np.sin(x)", r"character 5: functions are written by their bare name\. Write sin\(\.\.\.\)"),
        ("x if y else z", r"Write where\(condition, x, y\)"),
        ("x == nan", r"a comparison with nan is always missing\. Write ismissing\(x\)"),
        ("clip(x, 0)", r"clip needs 'max'\. Write clip\(x, min, max\)"),
        ("clip(x, lower=0, max=1)", "clip has no argument 'lower'"),
        ("x.dt.hour()", r"dt\.hour isn't called; write t\.dt\.hour"),
        ("wind speed", r'A column with such a name is written col\("name"\)'),
        ("3 + 4", "it reads no column"),
    ],
)
def test_messages_say_where_what_and_what_instead(text: str, message: str) -> None:
    with pytest.raises(ExpressionError, match=message):
        parse(text, where="f.yaml:3")


def test_unknown_columns_and_names_that_are_both() -> None:
    columns = {"distance": Value(np.array([1.0])), "e": Value(np.array([2.0])), "wind speed": Value(np.array([3.0]))}
    with pytest.raises(ColumnNotFoundError, match="no column 'distanc'. Did you mean 'distance'"):
        evaluate("distanc + 1", columns)
    with pytest.raises(ExpressionError, match="'e' is both a column and the constant"):
        evaluate("distance * e", columns)
    assert evaluate("distance * col('e') * col('wind speed')", columns).data.tolist() == [6.0]


def test_a_bare_column_is_the_column_itself() -> None:
    builder = ProgramBuilder()
    node = builder.column("x")
    assert compile_expression(parse(" ( x ) "), builder, {"x": node}) == node


def test_equal_parts_are_one_node_and_different_constants_are_not() -> None:
    builder = ProgramBuilder()
    names = {"x": builder.column("x")}
    first = compile_expression(parse("sin(x * 2) + 1"), builder, names)
    assert compile_expression(parse("sin(x*2)+1"), builder, names) == first
    others = [
        compile_expression(parse(text), builder, names)
        for text in ("x * 1", "x * 1.0", "x * True", "x / 0.0", "x / -0.0")
    ]
    assert len(set(others)) == len(others)
    values = builder.build(others).run({"x": Value(np.array([3]))})
    assert [value.data.tolist()[0] for value in values] == [3, 3.0, 3, np.inf, -np.inf]


def test_text_is_normal_and_means_the_same() -> None:
    expression = parse("x+ 2*(y)  and(z<3)\n or not b")
    assert expression.text == "x + 2 * y and z < 3 or not b"
    assert parse(expression.text) == expression
    assert hash(parse(expression.text)) == hash(expression)
    assert expression.names == {"x", "y", "z", "b"}
    assert str(expression) == expression.text


def test_selection_mask_takes_truth_only() -> None:
    with pytest.raises(FeatureTypeError, match="one truth value a row; got float"):
        selection_mask(Value(np.array([1.0])))
    with pytest.raises(FeatureTypeError, match="got bool array"):
        selection_mask(Value(np.zeros((2, 2), dtype=bool)))


def test_array_rows_are_reduced_as_numpy_does() -> None:
    rows = RANDOM.normal(size=(200, 13)).astype(np.float32)
    rows[3, 4] = np.nan
    columns = {"a": from_raw(rows), "x": from_raw(np.arange(200.0))}
    wide = rows.astype(np.float64)
    for text, expected in (
        ("sum(a)", wide.sum(axis=1)), ("mean(a)", wide.mean(axis=1)), ("norm(a)", np.linalg.norm(wide, axis=1)),
        ("a.min()", wide.min(axis=1)), ("max(a)", wide.max(axis=1)), ("a * x", wide * np.arange(200.0)[:, None]),
        ("where(isnan(a), 0, a)", np.nan_to_num(wide)),
    ):  # fmt: skip
        np.testing.assert_allclose(evaluate(text, columns).data, expected, rtol=1e-12)


def test_the_table_names_every_function() -> None:
    text = table()
    assert text.count("\n") == len(FUNCTIONS) + 3
    for entry in FUNCTIONS.values():
        assert f"| {entry.doc} |" in text
    widths = {line.replace("\\|", "").count("|") for line in text.splitlines()}
    assert widths == {5}
