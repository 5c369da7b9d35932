"""The definition file: everything it can say, and everything that can be wrong with it."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import jsonschema
import numpy as np
import pyarrow as pa
import pytest
import vaex
import yaml
from hypothesis import given
from hypothesis import strategies as st

from vaxseq.errors import DefinitionError, FeatureTypeError, SourceNotFoundError
from vaxseq.features import FeatureSet, json_schema
from vaxseq.features.definition.document import MAX_DEPTH, read_yaml
from vaxseq.features.definition.graph import order_columns

EXAMPLE = """\
version: 1
columns:                                # derived columns: expressions, in any order
  headwind: wind_speed * cos(wind_dir * pi / 180)
inputs:
  numeric:                              # one input = one matrix (rows, width) of one dtype
    dtype: float32
    features:
      - {column: distance, steps: [log1p, standardize]}
      - column: temp
        steps: [{impute: {strategy: median, indicator: true}}, {clip: {quantiles: [0.01, 0.99]}}, standardize]
      - {column: hour, steps: [{cyclical: {period: 24}}]}
      - {columns: [humid, pressure, headwind], steps: [{impute: {strategy: mean}}, standardize]}
      - {name: daylight, expr: hour - 6, steps: [min_max]}
  carrier:
    dtype: int32
    features:
      - {column: carrier, steps: [{vocabulary: {max_size: 32}}]}
targets:
  late: {expr: arr_delay >= 30, dtype: float32}
  kind: {column: species, classes: true}
weights: {column: w}
window: {length: 128, stride: 64, group_by: [device], order_by: time}
"""

WRONG = """\
version: 2
colums: {a: b}
columns:
  a: b + 1
  b: a * 2
  c: "import os"
  d: x +
inputs:
  numeric:
    dtype: float23
    features:
      - {column: distance, steps: [log1p, standardise]}
      - {column: distance, steps: [{clip: {quantile: 3}}]}
      - {columns: [a], name: z}
      - {expr: x + 1}
      - {expr: where(a > 1, 2, 3), name: k}
      - {column: no, columns: [b]}
      - {column: 007}
      - {column: twice}
      - {column: twice, steps: [standardize]}
  target: {features: [{column: q, steps: log1p}]}
  e: {}
targets:
  late: {column: y, classes: yes, steps: [standardize]}
  late: {column: &x z}
window: {lenght: 3}
"""


def one(**feature: object) -> dict[str, object]:
    return {"inputs": {"x": {"features": [feature]}}}


def test_the_example_says_what_it_means() -> None:
    fs = FeatureSet.from_text(EXAMPLE)
    assert list(fs.inputs) == ["numeric", "carrier"]
    assert fs.inputs["numeric"].features[1].steps[0].model_dump()["indicator"] is True
    assert fs.columns["headwind"].expr.names == {"wind_speed", "wind_dir"}
    assert fs.targets["kind"].storage == "int32"
    assert fs.window is not None and fs.window.options()["group_by"] == ["device"]
    assert "8 features" not in repr(fs) and "6 features in 2 inputs, 2 targets" in repr(fs)
    assert "headwind" in fs._repr_html_()


def test_a_definition_comes_back_from_its_dict_and_from_yaml() -> None:
    fs = FeatureSet.from_text(EXAMPLE)
    again = FeatureSet.from_dict(fs.to_dict())
    assert again == fs and again.fingerprint == fs.fingerprint and hash(again) == hash(fs)
    assert FeatureSet.from_text(yaml.safe_dump(fs.to_dict())).fingerprint == fs.fingerprint
    assert fs.to_dict()["columns"] == {"headwind": "wind_speed * cos(wind_dir * pi / 180)"}


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("{column: distance,", "{column: distance, unit: mi, known_when: always, description: far,", True),
        ("dtype: float32\n    features", "features", True),  # the default, written out or not
        ("version: 1", "version: 1   # a comment", True),
        ("[log1p, standardize]", "[standardize, log1p]", False),
        ("period: 24", "period: 12", False),
        ("hour - 6", "hour - 7", False),
        (">= 30", "> 30", False),
        ("stride: 64", "stride: 32", False),
        ("max_size: 32", "max_size: 33", False),
    ],
)
def test_the_fingerprint_is_of_the_meaning(old: str, new: str, same: bool) -> None:
    assert old in EXAMPLE
    changed = FeatureSet.from_text(EXAMPLE.replace(old, new))
    assert (changed.fingerprint == FeatureSet.from_text(EXAMPLE).fingerprint) is same


def test_all_problems_of_a_file_come_at_once(tmp_path: Path) -> None:
    file = tmp_path / "features.yaml"
    file.write_text(WRONG)
    with pytest.raises(DefinitionError) as caught:
        FeatureSet.load(file)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{file}:") for line in lines)
    found = [line.removeprefix(f"{file}:") for line in lines]
    for expected in (
        "1 version: got 2, expected 1",
        "2 colums: unknown key 'colums'. Did you mean 'columns'?",
        "4 columns.a: the columns need one another: a -> b -> a",
        "6 columns.c.expr: ",
        "7 columns.d.expr: ",
        "10 inputs.numeric.dtype: got 'float23', expected 'float16'",
        "12 inputs.numeric.features[0].steps[1]: unknown step 'standardise'. Did you mean 'standardize'?",
        "13 inputs.numeric.features[1].steps[0].clip: unknown option 'quantile'. Did you mean 'quantiles'?",
        "14 inputs.numeric.features[2].name: a name can't stand with columns",
        "15 inputs.numeric.features[3]: a feature made by expr needs a name",
        "16 inputs.numeric.features[4].expr: ",
        "17 inputs.numeric.features[5]: got column and columns, expected exactly one of",
        "18 inputs.numeric.features[6].column: 007 begins with a zero",
        "20 inputs.numeric.features[8]: the feature 'twice' is declared twice; first as inputs.numeric.features[7]",
        "21 inputs.target: an input can't be named 'target'",
        "21 inputs.target.features[0].steps: got 'log1p', expected a list of steps",
        "22 inputs.e: the key 'features' is needed here",
        "24 targets.late.classes: got 'yes', expected true or false",
        "25 targets.late: the key 'late' stands here a second time; first in line 24",
        "25 targets.late.column: an anchor (&x) isn't allowed",
        "26 window.lenght: unknown key 'lenght'. Did you mean 'length'?",
        "26 window: the key 'length' is needed here",
    ):
        assert any(line.startswith(expected) for line in found), expected
    assert [int(line.split()[0].rstrip(":")) for line in found] == sorted(
        int(line.split()[0].rstrip(":")) for line in found
    )
    assert any("quote an expression that holds a comma" in line for line in found)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("{length: 3, target_length: 4}", "4 window.target_length: got 4, expected at most the window's 3 rows"),
        ("{length: 3, horizon: 2, target_length: 3}", "4 window.target_length: got 3 with horizon=2"),
        ("{length: 3, target_length: 0}", "4 window.target_length: got 0, expected greater than"),
        ("{length: 3, max_gap: 30min}", "4 window.max_gap: needs a time column"),
        ("{length: 3, future_inputs: x}", "4 window.future_inputs: there is no future with horizon=0"),
        ("{length: 3, static_inputs: [x, sise]}", "4 window.static_inputs: no input 'sise'. Did you mean 'size'?"),
        ("{length: 3, target: lost}", "4 window.target: got 'lost', expected .* Did you mean 'last'?"),
    ],
)
def test_a_window_block_that_cannot_be(block: str, message: str) -> None:
    text = f"inputs:\n  x: {{features: [{{column: a}}]}}\n  size: {{features: [{{column: b}}]}}\nwindow: {block}\n"
    with pytest.raises(DefinitionError, match=message):
        FeatureSet.from_text(text)
    right = "{length: 3, horizon: 2, target_length: 1, future_inputs: x, static_inputs: [size]}"
    fs = FeatureSet.from_text(text.replace(block, right))
    assert fs.window is not None and fs.window.options()["static_inputs"] == ["size"]
    assert FeatureSet.from_dict(fs.to_dict()) == fs
    jsonschema.validate(fs.to_dict(), json_schema())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a mapping"),
        ("[1, 2]", "got list, expected a mapping"),
        ("inputs: {x: {features: [{column: a}]}}\n---\nx: 1", ":2: the file holds a second document"),
        ("a: &a [1]\nb: *a", r"an alias \(\*a\) isn't allowed"),
        ("a: &a {b: 1}\nc: {<<: 1}", r"a merge key \(<<\) isn't allowed"),
        ("a: !!python/object/apply:os.system [ls]", "a tag .* isn't allowed"),
        ("a: !!python/name:os.system x", "a tag"),
        ("a: !x y", "a tag"),
        ("a: {b: 1", "not valid YAML"),
        ("a:\n\t- b", "Indent with spaces"),
        ("columns: {a: b % c, d: `x`}", "Quote an expression"),
        ("? [a, b]\n: c", "a key must be a plain name"),
        ("x: " + "[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2), "nested too deeply"),
        ("x: " + "[" * 50_000, "nested too deeply"),
        ("x: [" + "1," * 120_000 + "1]", "holds too much"),
        ("#" * 1_000_001, "too long"),
        ("a: 1e999", "beyond what a float64 holds"),
        ("a: " + "1" * 50, "a number of 50 digits"),
        ("a: '\x00'", "not valid YAML"),
    ],
)
def test_yaml_that_is_refused(text: str, message: str) -> None:
    start = time.thread_time()
    with pytest.raises(DefinitionError, match=message):
        FeatureSet.from_text(text)
    assert time.thread_time() - start < 5


def test_a_yaml_bomb_is_refused_at_once() -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    start = time.thread_time()
    with pytest.raises(DefinitionError, match="an alias"):
        FeatureSet.from_text(bomb)
    assert time.thread_time() - start < 1


def test_plain_scalars_are_those_of_yaml_1_2() -> None:
    text = "[no, on, off, yes, y, 12:30, 2014-01-01, 1_000, 1e3, .5, -3, 0x1F, 0o17, true, null, ~, .inf, '1', NO]"
    assert read_yaml(text).data == [
        "no", "on", "off", "yes", "y", "12:30", "2014-01-01", "1_000", 1000.0, 0.5, -3, 31, 15, True, None, None,
        float("inf"), "1", "NO",
    ]  # fmt: skip


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    with pytest.raises(DefinitionError):
        FeatureSet.from_text("inputs: " + text)


WORDS = ["a", "expr", "standardize", "float32", "x + 1"]


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["x", "column", "expr", "steps", "features", "dtype", "name", "classes", "pattern", "impute"]),
        inner, max_size=4,
    ),
    max_leaves=12,
))  # fmt: skip
def test_any_values_are_read_or_refused(values: object) -> None:
    for definition in (
        values,
        {"inputs": values},
        {"inputs": {"x": {"features": values}}, "columns": values, "targets": values},
    ):
        try:
            fs = FeatureSet.from_dict(definition)  # type: ignore[arg-type]
        except DefinitionError:
            continue
        assert FeatureSet.from_dict(fs.to_dict()).fingerprint == fs.fingerprint


@given(st.data())
def test_columns_are_ordered_by_need(data: st.DataObject) -> None:
    names = [f"c{number}" for number in range(data.draw(st.integers(1, 8)))]
    needs = {
        name: data.draw(st.sets(st.sampled_from([*names, "x"]), max_size=3))
        for name in data.draw(st.permutations(names))
    }
    order, cycle = order_columns(needs)
    for place, name in enumerate(order):
        assert all(need in order[:place] for need in needs[name] if need in needs)
    if cycle:
        assert cycle[0] == cycle[-1]
        assert all(after in needs[before] for before, after in pairwise(cycle))
    else:
        assert sorted(order) == sorted(names)


def test_a_long_chain_of_columns_needs_no_deep_stack() -> None:
    order, cycle = order_columns({f"c{n}": [f"c{n + 1}"] for n in range(5000)})
    assert len(order) == 5000 and order[0] == "c4999" and not cycle


def test_a_missing_file_names_a_near_one(tmp_path: Path) -> None:
    (tmp_path / "features.yaml").write_text(EXAMPLE)
    with pytest.raises(SourceNotFoundError, match="Did you mean 'features.yaml'"):
        FeatureSet.load(tmp_path / "feature.yaml")


def test_the_schema_takes_what_the_reader_takes(samples: Path) -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    check = jsonschema.Draft202012Validator(schema)
    for text in (EXAMPLE, *(file.read_text() for file in sorted(samples.glob("*.yaml")))):
        check.validate(yaml.safe_load(text))
        FeatureSet.from_text(text)
    for wrong in (
        one(column="a", steps=["nope"]),
        one(colum="a"),
        one(column="a", steps=[{"clip": {"low": 1}}]),
        {"version": 1},
    ):
        assert not check.is_valid(wrong)
        with pytest.raises(DefinitionError):
            FeatureSet.from_dict(wrong)


@pytest.fixture(scope="module")
def frame() -> vaex.dataframe.DataFrame:
    rng = np.random.default_rng(0)
    return vaex.from_arrays(
        sensor_1=rng.normal(size=50),
        sensor_2=rng.normal(size=50).astype("f4"),
        count=np.arange(50),
        flag=np.arange(50) % 2 == 0,
        word=pa.array(["a", "b"] * 25),
        when=np.arange(50).astype("M8[s]"),
        grid=rng.normal(size=(50, 2, 3)),
        label=rng.normal(size=50),
    )


@pytest.mark.parametrize(
    ("feature", "expected"),
    [
        ({"columns": ["count", "sensor_2"]}, ["count", "sensor_2"]),
        ({"pattern": "sensor_*"}, ["sensor_1", "sensor_2", "sensor_3"]),
        ({"pattern": "sensor_*", "exclude": "*_2"}, ["sensor_1", "sensor_3"]),
        ({"dtype": "float"}, ["sensor_1", "sensor_2"]),  # not label, the target; not grid, an array
        ({"dtype": "float32"}, ["sensor_2"]),
        ({"dtype": "number", "exclude": ["count"]}, ["sensor_1", "sensor_2"]),
        ({"dtype": "bool"}, ["flag"]),
        ({"column": "label"}, ["label"]),  # named on purpose
    ],
)
def test_many_columns_at_once(frame: vaex.dataframe.DataFrame, feature: dict[str, object], expected: list[str]) -> None:
    fitted = FeatureSet.from_dict({
        "columns": {"sensor_3": "sensor_1 + 1", "sensor_leak": "label * 2"},
        **one(**feature),
        "targets": {"y": {"column": "label"}},
    }).fit(frame, progress=False)  # fmt: skip
    assert [part.name for part in fitted.recipe().fields[0].parts] == expected


def test_check_finds_all_that_is_wrong_and_reads_no_rows(frame: vaex.dataframe.DataFrame) -> None:
    from vaxseq.features.learning.fitting import check
    from vaxseq.frame import source_of

    text = """\
columns: {broken: word * 2, fine: sensor_1 * 2, count: sensor_1}
inputs:
  x:
    features:
      - {column: word, steps: [standardize]}
      - {column: sensr_1}
      - {pattern: "zz*"}
      - {column: when}
      - {column: grid}
      - {column: fine}
  codes:
    dtype: int32
    features: [{column: sensor_1}]
"""
    fs = FeatureSet.from_text(text, where="f.yaml")
    source = source_of(frame)
    only_types = source_of(frame)
    only_types.read = only_types.gather = None  # type: ignore[assignment, method-assign]
    only_types._empty = dict(source.empty(source.names).items())
    with pytest.raises(DefinitionError) as caught:
        check(fs, only_types)
    message = str(caught.value)
    for expected in (
        "f.yaml:1 columns.count: the data has a column of that name already",
        "f.yaml:1 columns.broken: ",
        "f.yaml:5 inputs.x.features[0]: word: step 'standardize': can't take this column; got text",
        "f.yaml:6 inputs.x.features[1]: column 'sensr_1' isn't in the data. Did you mean 'sensor_1'?",
        "f.yaml:7 inputs.x.features[2]: pattern 'zz*' picks no column",
        "f.yaml:8 inputs.x.features[3]: when: its last value is datetime",
        "an array of shape (2, 3) can't stand beside other features",
        "f.yaml:13 inputs.codes.features[0]: sensor_1: its last value is float, expected what fits int32",
    ):
        assert expected in message, expected


def test_types_alone_are_a_type_error(frame: vaex.dataframe.DataFrame) -> None:
    fs = FeatureSet.from_dict(one(column="word", steps=["standardize"]))
    with pytest.raises(FeatureTypeError, match=r"inputs\.x\.features\[0\]: word: step 'standardize'.*got text"):
        fs.check(frame)
    with pytest.raises(FeatureTypeError, match="step 'standardize'"):
        fs.fit(frame)
