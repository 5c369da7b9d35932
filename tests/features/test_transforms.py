"""Every step against an independent NumPy or scikit-learn reference, any block split, and its Keras form."""

from __future__ import annotations

import datetime as dt
import json
import zoneinfo
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaxseq.errors import DefinitionError, FeatureTypeError
from vaxseq.expressions.program import ProgramBuilder
from vaxseq.expressions.values import Value, as_float, from_raw
from vaxseq.features.learners.base import Rows
from vaxseq.features.transforms import STEPS, check_steps, compile_chain, parse_step
from vaxseq.features.transforms.hashing import text_hashes
from vaxseq.features.transforms.table import steps_table

nan = np.nan
RNG = np.random.default_rng(0)
NUMBERS = np.array(
    [0.0, -0.0, 1.0, -1.0, 2.5, -2.5, 3.5, nan, 1e-9, 40.0, 1e6, -300.25, nan, 7.0, 7.0, 7.0, *RNG.normal(2, 3, 200)]
)
EXTREME = np.array([np.inf, -np.inf, nan, 1e308, -1e308, 5e-324, 2.0**63, -(2.0**63), 1e300, 0.0])
INTS = np.ma.array([3, 1, 1, -4, 2**62, 0, 3, 3, 9, 1], mask=[0, 0, 0, 0, 0, 1, 0, 0, 0, 0])
WORDS = pa.array(["b", "a", None, "", "a", "Żółć", "b ", "a", "zz", "b", " B", "x|y|x", "|", "y| z"])
ARRAYS = np.where(RNG.random((60, 2, 3)) < 0.02, nan, RNG.normal(5, 2, (60, 2, 3)))
TIMES = np.array(
    ["2014-03-30T00:59:59", "2014-03-30T01:00:00", "NaT", "1969-12-31T23:59:59", "2016-02-29T12:30:15"],
    "M8[s]",
).astype("M8[ns]")


def text_list(value: Value) -> list:
    return value.data.to_pylist()


def floats(value: Value) -> np.ndarray:
    return as_float(value).data


def column(raw: Any) -> Value:
    return from_raw(raw)


def learn(step, value: Value) -> dict:
    learner = step.learner()
    if learner is None:
        return {}
    for rows in np.array_split(np.arange(len(value)), 3):
        if len(rows):
            learner.update(value.take(rows), Rows(rows))
    return json.loads(json.dumps(learner.finish()))


def counted(items: list) -> list[tuple[Any, int]]:
    numbers: dict = {}
    for item in items:
        if item is not None:
            numbers[item] = numbers.get(item, 0) + 1
    return sorted(numbers.items(), key=lambda pair: (-pair[1], pair[0]))


def code(items: list, values: list) -> np.ndarray:
    return np.array([0 if item is None else values.index(item) + 2 if item in values else 1 for item in items])


def int_list() -> list:
    return [None if one is np.ma.masked else int(one) for one in INTS]


def local(zone: str) -> list:
    out = []
    for one in TIMES:
        if np.isnat(one):
            out.append(None)
        else:
            seconds = int(one.astype("M8[s]").astype(np.int64))
            utc = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=seconds)
            out.append(utc.astimezone(zoneinfo.ZoneInfo(zone)))
    return out


def of_times(function, zone: str = "UTC") -> np.ndarray:
    return np.array([nan if one is None else function(one) for one in local(zone)], dtype=float)


def circle(phase: np.ndarray) -> np.ndarray:
    return np.column_stack([np.sin(2 * np.pi * phase), np.cos(2 * np.pi * phase)])


def year_phase(t: dt.datetime) -> float:
    naive = t.replace(tzinfo=None)
    start, end = dt.datetime(t.year, 1, 1), dt.datetime(t.year + 1, 1, 1)
    return (naive - start) / (end - start)


def fnv(text: str) -> int:
    found = 0xCBF29CE484222325
    for byte in text.encode():
        found = ((found ^ byte) * 0x100000001B3) % 2**64
    return found


def splitmix(x: int) -> int:
    x = (x + 0x9E3779B97F4A7C15) % 2**64
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) % 2**64
    return x ^ (x >> 31)


def sk_quantile(x: np.ndarray, n: int) -> np.ndarray:
    from sklearn.preprocessing import QuantileTransformer

    return QuantileTransformer(n_quantiles=n, subsample=None).fit_transform(x[:, None])[:, 0]


def sk_pca(x: np.ndarray, k: int, whiten: bool) -> np.ndarray:
    from sklearn.decomposition import PCA

    flat = x.reshape(len(x), -1)
    fine = ~np.isnan(flat).any(axis=1)
    out = np.full((len(flat), k), nan)
    out[fine] = PCA(k, whiten=whiten, svd_solver="full").fit_transform(flat[fine])
    return out


def indexed(values: list, tokens: list) -> list[float]:
    row = [0.0] * (len(values) + 2)
    for token in tokens:
        row[values.index(token) + 2 if token in values else 1] = 1.0
    return row


@dataclass
class Case:
    step: Any
    raw: Any
    expected: Any  # of the whole column, floats with NaN where missing, or a list of texts
    exact: bool = True
    extreme: bool = False

    @property
    def name(self) -> str:
        return self.step if isinstance(self.step, str) else next(iter(self.step))


x = NUMBERS
tokens = [
    None if one is None else [part.strip() for part in one.split("|") if part.strip()] for one in WORDS.to_pylist()
]
token_values = [value for value, _ in counted([token for one in tokens if one for token in one])]
word_values = [value for value, _ in counted(WORDS.to_pylist())]
int_values = [value for value, _ in counted(int_list())]
with np.errstate(all="ignore"):
    CASES = [
        Case({"cast": "int64"}, x, np.trunc(x)),
        Case({"cast": "int64"}, EXTREME, np.array([nan, nan, nan, nan, nan, 0, nan, -(2.0**63), nan, 0]), extreme=True),
        Case({"cast": "float32"}, x, x.astype("f4").astype(float)),
        Case({"cast": "float64"}, INTS, np.ma.filled(INTS.astype(float), nan)),
        Case({"cast": "bool"}, x, np.where(np.isnan(x), nan, x != 0)),
        Case({"round": 1}, x, np.round(x, 1)),
        Case({"round": -2}, x, np.round(x, -2)),
        Case("log1p", x, np.log1p(x)),
        Case("sqrt", x, np.sqrt(x)),
        Case({"power": 2}, x, x**2.0),
        Case({"power": {"exponent": 0.5, "signed": True}}, x, np.sign(x) * np.abs(x) ** 0.5),
        Case({"power": 0}, x, np.where(np.isnan(x), nan, 1.0)),
        Case({"clip": {"lower": -1, "upper": 2}}, x, np.clip(x, -1, 2)),
        Case({"clip": {"upper": 2}}, EXTREME, np.minimum(EXTREME, 2), extreme=True),
        Case({"clip": {"quantiles": [0.1, 0.8]}}, x, np.clip(x, *np.nanquantile(x, [0.1, 0.8]))),
        Case({"impute": "mean"}, x, np.where(np.isnan(x), np.nanmean(x), x), exact=False),
        Case({"impute": "median"}, x, np.where(np.isnan(x), np.nanmedian(x), x)),
        Case({"impute": "mode"}, x, np.where(np.isnan(x), 7.0, x)),
        Case({"impute": "mode"}, INTS, np.ma.filled(INTS, 1).astype(float)),
        Case({"impute": "mode"}, WORDS, [one if one is not None else "a" for one in WORDS.to_pylist()]),
        Case(
            {"impute": {"strategy": "constant", "value": "?"}},
            WORDS,
            [one if one is not None else "?" for one in WORDS.to_pylist()],
        ),
        Case({"impute": {"strategy": "constant", "value": -1}}, INTS, np.ma.filled(INTS, -1).astype(float)),
        Case({"impute": "mean"}, ARRAYS, np.where(np.isnan(ARRAYS), np.nanmean(ARRAYS, axis=0), ARRAYS), exact=False),
        Case("standardize", x, (x - np.nanmean(x)) / np.nanstd(x), exact=False),
        Case("standardize", ARRAYS, (ARRAYS - np.nanmean(ARRAYS, 0)) / np.nanstd(ARRAYS, 0), exact=False),
        Case(
            {"standardize": {"per": "channel"}},
            ARRAYS,
            (ARRAYS - np.nanmean(ARRAYS, (0, 1))) / np.nanstd(ARRAYS, (0, 1)),
            exact=False,
        ),
        Case({"standardize": {"per": "all"}}, ARRAYS, (ARRAYS - np.nanmean(ARRAYS)) / np.nanstd(ARRAYS), exact=False),
        Case("min_max", x, (x - np.nanmin(x)) / (np.nanmax(x) - np.nanmin(x))),
        Case(
            {"min_max": {"lower": -1}},
            ARRAYS,
            2 * (ARRAYS - np.nanmin(ARRAYS, 0)) / np.ptp(np.nan_to_num(ARRAYS, nan=5), 0) - 1,
            exact=False,
        ),
        Case("max_abs", x, x / np.nanmax(np.abs(x))),
        Case("robust", x, (x - np.nanmedian(x)) / np.subtract(*np.nanquantile(x, [0.75, 0.25])), exact=False),
        Case({"quantile": {"references": 50}}, x, sk_quantile(x, 50), exact=False),
        Case(
            {"quantile": {"references": 7}},
            np.repeat([1.0, 2.0, 5.0, nan], [5, 9, 3, 2]),
            sk_quantile(np.repeat([1.0, 2.0, 5.0, nan], [5, 9, 3, 2]), 7),
            exact=False,
        ),
        Case({"bucketize": [0, 1, 7]}, x, np.where(np.isnan(x), nan, np.digitize(x, [0, 1, 7]))),
        Case({"bucketize": {"edges": [0], "missing": "bucket"}}, x, np.where(np.isnan(x), 2.0, np.digitize(x, [0]))),
        Case(
            {"bucketize": {"buckets": 4}},
            x,
            np.where(np.isnan(x), nan, np.digitize(x, np.nanquantile(x, [0.25, 0.5, 0.75]))),
        ),
        Case("vocabulary", WORDS, code(WORDS.to_pylist(), word_values)),
        Case({"vocabulary": {"max_size": 2}}, WORDS, code(WORDS.to_pylist(), word_values[:2])),
        Case({"vocabulary": {"min_count": 2}}, INTS, code(int_list(), [1, 3])),
        Case("vocabulary", np.array([True, False, True]), np.array([2, 3, 2])),
        Case("one_hot", INTS, np.eye(len(int_values) + 2)[code(int_list(), int_values)]),
        Case(
            {"one_hot": {"max_size": 1, "unseen_column": False}},
            WORDS,
            np.eye(3)[code(WORDS.to_pylist(), ["a"])][:, [0, 2]],
        ),
        Case(
            {"one_hot": {"missing_column": False}},
            INTS,
            np.vstack([np.full(len(int_values) + 2, nan), np.eye(len(int_values) + 2)[1:]])[
                code(int_list(), int_values)
            ][:, 1:],
        ),
        Case(
            "multi_hot",
            WORDS,
            np.array(
                [
                    [1.0] + [0.0] * (len(token_values) + 1) if one is None else indexed(token_values, one)
                    for one in tokens
                ]
            ),
        ),
        Case(
            {"multi_hot": {"max_size": 2}},
            WORDS,
            np.array([[1.0, 0, 0, 0] if one is None else indexed(token_values[:2], one) for one in tokens]),
        ),
        Case("frequency", WORDS, np.array([WORDS.to_pylist().count(one) / len(WORDS) for one in WORDS.to_pylist()])),
        Case(
            {"hash": 10},
            WORDS,
            np.array([0 if one is None else splitmix(fnv(one)) % 10 + 1 for one in WORDS.to_pylist()]),
        ),
        Case(
            {"hash": {"buckets": 1000, "seed": 5}},
            INTS,
            np.array([0 if one is None else splitmix(splitmix(one % 2**64) ^ 5) % 1000 + 1 for one in int_list()]),
        ),
        Case({"parts": "hour"}, TIMES, of_times(lambda t: t.hour)),
        Case(
            {"parts": {"units": ["hour", "weekday", "month", "dayofyear"], "timezone": "Europe/Paris"}},
            TIMES,
            np.column_stack(
                [
                    of_times(f, "Europe/Paris")
                    for f in (
                        lambda t: t.hour,
                        lambda t: t.weekday(),
                        lambda t: t.month,
                        lambda t: t.timetuple().tm_yday,
                    )
                ]
            ),
        ),
        Case({"cyclical": 24}, x, circle(x / 24), exact=False),
        Case(
            {"cyclical": {"period": "day", "timezone": "Europe/Paris"}},
            TIMES,
            circle(of_times(lambda t: (t.hour * 3600 + t.minute * 60 + t.second) / 86400, "Europe/Paris")),
            exact=False,
        ),
        Case(
            {"cyclical": "week"},
            TIMES,
            circle(of_times(lambda t: (t.weekday() * 86400 + t.hour * 3600 + t.minute * 60 + t.second) / 604800)),
            exact=False,
        ),
        Case(
            {"cyclical": {"period": "year", "timezone": "America/New_York"}},
            TIMES,
            circle(of_times(year_phase, "America/New_York")),
            exact=False,
        ),
        Case(
            {"elapsed": {"since": "2014-01-01T00:00:00+01:00", "unit": "hours"}},
            TIMES,
            of_times(lambda t: (t - dt.datetime(2013, 12, 31, 23, tzinfo=dt.UTC)) / dt.timedelta(hours=1)),
        ),
        Case({"elapsed": {"unit": "minutes"}}, np.array([90, -30, "NaT"], "m8[s]"), np.array([1.5, -0.5, nan])),
        Case("lower", WORDS, [None if one is None else one.lower() for one in WORDS.to_pylist()]),
        Case("strip", WORDS, [None if one is None else one.strip() for one in WORDS.to_pylist()]),
        Case("length", WORDS, np.array([nan if one is None else len(one) for one in WORDS.to_pylist()])),
        Case(
            {"matches": "^[ab]$"},
            WORDS,
            np.array([nan if one is None else one in ("a", "b") for one in WORDS.to_pylist()], dtype=float),
        ),
        Case({"scale": {"factor": 1 / 255, "offset": -0.5}}, ARRAYS, ARRAYS * (1 / 255) - 0.5),
        Case({"reshape": [3, 2]}, ARRAYS, ARRAYS.reshape(-1, 3, 2)),
        Case("flatten", ARRAYS, ARRAYS.reshape(-1, 6)),
        Case({"pca": 3}, ARRAYS, sk_pca(ARRAYS, 3, False), exact=False),
        Case({"pca": {"components": 2, "whiten": True}}, ARRAYS, sk_pca(ARRAYS, 2, True), exact=False),
    ]
IDS = [f"{place}-{case.name}" for place, case in enumerate(CASES)]
cases = pytest.mark.parametrize("case", CASES, ids=IDS)


def prepared(case: Case) -> tuple[Any, Value, dict]:
    step, value = parse_step(case.step, "here"), column(case.raw)
    return step, value, learn(step, value)


def run(step, value: Value, learned: dict) -> Value:
    with np.errstate(all="ignore"):
        return step.apply(value, learned)


def test_every_step_has_a_case():
    looking_back = {name for name, step in STEPS.items() if step.looks_back}  # test_history.py has these
    assert {case.name for case in CASES} == set(STEPS) - looking_back


@cases
def test_a_step_equals_its_reference(case):
    step, value, learned = prepared(case)
    got = run(step, value, learned)
    if isinstance(case.expected, list):
        assert text_list(got) == case.expected
    elif case.exact:
        np.testing.assert_array_equal(floats(got), case.expected)
    else:
        np.testing.assert_allclose(floats(got), case.expected, rtol=1e-9, atol=1e-9)


@cases
def test_a_row_depends_on_no_other_row(case):
    step, value, learned = prepared(case)
    whole = run(step, value, learned)
    expected = np.array(text_list(whole), object) if whole.kind == "text" else floats(whole)

    @settings(max_examples=settings.default.max_examples * 2 // 5)
    @given(st.lists(st.integers(0, len(value) - 1), max_size=150))
    def check(picked):
        rows = np.array(picked, dtype=np.int64)
        part = run(step, value.take(rows), learned)
        if part.kind == "text":
            assert text_list(part) == expected[rows].tolist()
        else:
            assert floats(part).tobytes() == expected[rows].tobytes()

    check()


@cases
def test_zero_rows_have_the_type_of_many(case):
    step, value, learned = prepared(case)
    none, many = run(step, value.slice(0, 0), learned), run(step, value, learned)
    assert (none.kind, none.shape, len(none)) == (many.kind, many.shape, 0)
    before = check_steps(value.slice(0, 0), [step])
    assert before.kind == none.kind or "impute" in step.name
    if not learned:
        assert before.shape == none.shape


@cases
def test_options_round_trip(case):
    step = parse_step(case.step, "here")
    raw = {step.name: json.loads(step.model_dump_json())}
    assert parse_step(raw, "here") == step


@cases
def test_missing_is_as_promised(case):
    step, value, learned = prepared(case)
    before, after = value.is_missing(), run(step, value, learned).is_missing()
    if step.sees_missing == "handles":
        assert not after.any()
    elif step.sees_missing == "keeps":
        np.testing.assert_array_equal(before, after)
    else:
        assert (after >= before).all()


@cases
def test_text_dictionaries_change_nothing(case):
    if not isinstance(case.raw, pa.Array):
        return
    step, value, learned = prepared(case)
    for rows in (value.data.dictionary_encode(), pa.concat_arrays([value.data] * 9).dictionary_encode()):
        encoded = Value(rows)
        assert learn(step, Value(value.data.dictionary_encode())) == learned
        got, plain = run(step, encoded, learned), run(step, Value(rows.cast(pa.string())), learned)
        if got.kind == "text":
            assert text_list(got) == text_list(plain)
        else:
            assert floats(got).tobytes() == floats(plain).tobytes()


@cases
def test_an_inverse_undoes(case):
    step, value, learned = prepared(case)
    if step.invertible and not case.extreme:
        got = run(step, value, learned)
        back = step.inverse(floats(got), learned)
        fine = ~np.isnan(floats(got))
        if step.name == "quantile":  # shares of ties have no way back to the bit
            fine &= (floats(got) > 0) & (floats(got) < 1)
        np.testing.assert_allclose(back[fine], floats(value)[fine], rtol=1e-6, atol=1e-6)


def as_float32(value: Value) -> np.ndarray:
    return floats(value).astype("f4")


@pytest.mark.backend
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # torch tensors under NumPy 2.4
@cases
def test_keras_agrees(case):
    from keras import ops

    step, value, learned = prepared(case)
    expected = run(step, value, learned)
    if expected.kind == "text" or case.extreme:
        return
    encode = step.encode(learned)
    if encode is None and value.kind == "text":
        pytest.fail("text must be encoded")
    start = encode(value) if encode is not None else Value(floats(value).astype("f4").astype(float))
    if encode is None:
        expected = run(step, start, learned)
    got = ops.convert_to_numpy(step.keras(ops, ops.convert_to_tensor(as_float32(start)), learned))
    np.testing.assert_allclose(got, floats(expected), rtol=1e-5, atol=1e-5)
    side = step.side(learned)
    assert side is None or isinstance(step.keras_side(ops, ops.convert_to_tensor(as_float32(start)), learned), object)


@pytest.mark.backend
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # torch tensors under NumPy 2.4
def test_the_indicator_in_keras():
    from keras import ops

    step = parse_step({"impute": {"strategy": "constant", "value": 0, "indicator": True}}, "here")
    for raw in (np.array([1.0, nan], "f4"), np.array([[1.0, nan], [1, 2]], "f4")):
        got = ops.convert_to_numpy(step.keras_side(ops, ops.convert_to_tensor(raw), {}))
        np.testing.assert_array_equal(got, floats(step.side({})(Value(raw))))


def test_an_indicator_passes_the_later_steps():
    steps = [parse_step(raw, "here") for raw in ({"impute": {"strategy": "mean", "indicator": True}}, "standardize")]
    value = Value(np.array([1.0, nan, 3.0]))
    builder = ProgramBuilder()
    node = compile_chain(builder, builder.column("x"), steps, [{"fill": 2.0}, {"mean": 2.0, "std": 0.5}])
    got = builder.build([node]).run({"x": value})[0]
    np.testing.assert_array_equal(got.data, [[-2.0, 0.0], [0.0, 1.0], [2.0, 0.0]])
    assert check_steps(value.slice(0, 0), steps).shape == (2,)


def test_a_shared_chain_is_one_node():
    builder = ProgramBuilder()
    steps = [parse_step("log1p", "here")]
    nodes = {compile_chain(builder, builder.column("x"), steps, [{}]) for _ in range(2)}
    assert len(nodes) == 1


def test_float32_refusals():
    learned = {"mean": 1.4e9, "std": 300.0}
    assert "Subtract a constant" in parse_step("standardize", "here").float32_problem(learned)
    assert parse_step("standardize", "here").float32_problem({"mean": 5.0, "std": 1.0}) is None
    near = {"quantiles": (1.4e9 + np.linspace(0, 5, 1000)).tolist()}
    assert "float32 can't tell" in parse_step("quantile", "here").float32_problem(near)
    assert parse_step("quantile", "here").float32_problem({"quantiles": np.linspace(0, 1, 1000).tolist()}) is None


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("standardise", "here: unknown step 'standardise'. Did you mean 'standardize'?"),
        ({"clip": {"lowr": 1}}, "unknown option 'lowr'. Did you mean 'lower'?"),
        ({"clip": {}}, "give lower, upper or quantiles"),
        ({"clip": {"quantiles": [0.9, 0.1]}}, "two rising shares"),
        ({"bucketize": [2, 1]}, "edges must be rising"),
        ({"impute": {"strategy": "constant"}}, "value goes with strategy: constant"),
        ({"impute": "meen"}, r"here.impute.strategy: input should be 'mean', .*; got 'meen'"),
        ({"power": None}, "option 'exponent' is needed"),
        ({"parts": {"units": "hour", "timezone": "Europe/Pariss"}}, "not a time zone"),
        ({"elapsed": {"since": "yesterday"}}, "not an ISO 8601 time"),
        ({"matches": "("}, "not a regular expression"),
        ({"hash": 0}, "greater than or equal to 1"),
        ({"log1p": 3}, "expected a mapping"),
        (["log1p"], "a step is a name or"),
        ({"round": {"decimals": float("nan")}}, "round.decimals"),
    ],
)
def test_wrong_options_are_named(raw, message):
    with pytest.raises(
        DefinitionError, match=message.replace("(", r"\(") if message.startswith("not a regular") else message
    ):
        parse_step(raw, "here")


@pytest.mark.parametrize(
    ("raw", "value", "message"),
    [
        ("standardize", WORDS, "got text, expected bool or float or int"),
        ("vocabulary", NUMBERS, "Put {cast: int64} before it"),
        ("vocabulary", np.ones((4, 2), int), "expected one category"),
        ({"cyclical": 24}, TIMES, "expected hour, day, week, month or year"),
        ({"cyclical": "day"}, NUMBERS, "expected a number"),
        ({"elapsed": {}}, TIMES, "a datetime needs since"),
        ({"reshape": [7]}, ARRAYS, r"6 elements of shape \(2, 3\) don't fill \(7,\)"),
        ({"pca": 9}, ARRAYS, "9 components need an array"),
        ({"impute": "mean"}, WORDS, "text can't be filled with the mean"),
        ({"impute": {"strategy": "constant", "value": "?"}}, NUMBERS, "can't be filled with the text"),
        ("lower", NUMBERS, "got float, expected text"),
        ("quantile", ARRAYS, r"step 'quantile': quantiles of an array column aren't learned; got \(2, 3\) a row"),
    ],
)
def test_wrong_kinds_are_refused_at_zero_rows(raw, value, message):
    with pytest.raises(FeatureTypeError, match=message):
        check_steps(column(value).slice(0, 0), [parse_step(raw, "here")])


@given(st.lists(st.text(max_size=40), max_size=30), st.integers(0, 5))
def test_text_hashes_are_fnv(texts, offset):
    array = pa.array([*["pad"] * offset, *texts], pa.string()).slice(offset)
    assert text_hashes(array).tolist() == [fnv(one) for one in texts]


def test_the_table_has_every_step():
    table = steps_table()
    assert all(f"| `{name}` |" in table for name in STEPS)
    assert table.count("\n") == len(STEPS) + 1


NUMERIC = [
    "log1p",
    "sqrt",
    "standardize",
    "min_max",
    "robust",
    {"clip": {"quantiles": [0.1, 0.9]}},
    {"round": 2},
    "quantile",
    {"impute": "median"},
    {"power": {"exponent": 3, "signed": True}},
    {"cast": "float32"},
    {"scale": 3},
    "max_abs",
]


@given(
    chain=st.lists(st.sampled_from(NUMERIC), min_size=1, max_size=5),
    rows=st.lists(st.floats(-1e6, 1e6) | st.just(nan), min_size=3, max_size=40),
)
def test_chains_are_row_wise_and_keep_missing(chain, rows):
    value = Value(np.array([*rows, 1.5]))
    steps, learned = [], []
    current = value
    for raw in chain:
        step = parse_step(raw, "here")
        if current.is_missing().all():
            return
        steps.append(step)
        learned.append(learn(step, current))
        current = run(step, current, learned[-1])
    builder = ProgramBuilder()
    program = builder.build([compile_chain(builder, builder.column("x"), steps, learned)])
    whole = program.run({"x": value})[0]
    apart = [program.run({"x": value.slice(row, row + 1)})[0].data for row in range(len(value))]
    assert whole.data.tobytes() == np.concatenate(apart).tobytes() == current.data.tobytes()
    if not any(step.sees_missing == "handles" for step in steps):
        assert np.isnan(whole.data[np.isnan(value.data)]).all()
