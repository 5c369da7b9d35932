"""Nested columns come in flat: structs by field, maps by key, lists as array columns or joined text."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vaxseq.convert import convert
from vaxseq.errors import BadRowError, OptionError, SchemaError
from vaxseq.features import FeatureSet
from vaxseq.frame import open as open_frame


def rows_of(source: Any, target: Path, **options: Any) -> dict[str, list[Any]]:
    made = convert(source, target, overwrite=True, resume=False, progress=False, **options)
    return pa.ipc.open_file(pa.memory_map(str(made.location))).read_all().to_pydict()


def saved(table: pa.Table, folder: Path, form: str) -> Any:
    if form == "memory":
        return table
    path = folder / f"in.{form}"
    if form == "parquet":
        pq.write_table(table, path)
    else:
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)
    return path


FORMS = pytest.mark.parametrize("form", ["parquet", "arrow", "memory"])


@FORMS
def test_structs_become_their_fields(tmp_path, form) -> None:
    cells = [{"x": 1.0, "q": {"n": 1, "t": "a"}}, None, {"x": None, "q": None}]
    found = rows_of(saved(pa.table({"p": cells, "y": [0, 1, 2]}), tmp_path, form), tmp_path / "o.arrow")
    assert found == {"p.x": [1.0, None, None], "p.q.n": [1, None, None], "p.q.t": ["a", None, None], "y": [0, 1, 2]}


@FORMS
def test_lists_of_one_length_are_array_columns(tmp_path, form) -> None:
    cells = {"v": [[1.0, 2.0], None, [3.0, 4.0]], "m": [[[1, 2], [3, 4]]] * 3}
    found = rows_of(saved(pa.table(cells), tmp_path, form), tmp_path / "o.arrow")
    assert found == cells


@FORMS
def test_lists_of_other_lengths_are_padded_and_their_length_is_told(tmp_path, form) -> None:
    table = pa.table({"v": [[1, 2], [], None, [3]], "tags": [["a", "b"], ["a"], [], None]})
    found = rows_of(saved(table, tmp_path, form), tmp_path / "o.arrow")
    assert found == {
        "v": [[1, 2], [None, None], None, [3, None]], "v.length": [2, 0, None, 1],
        "tags": ["a|b", "a", "", None], "tags.length": [2, 1, 0, None],
    }  # fmt: skip


def test_padded_lists_and_joined_texts_make_features(tmp_path) -> None:
    rows_of(pa.table({"v": [[1.0, 2.0], [3.0]], "tags": [["a", "b"], ["a"]]}), tmp_path / "o.arrow")
    hot = {"column": "tags", "steps": ["multi_hot"]}
    inputs = {"n": {"features": [{"column": "v.length"}]}, "t": {"features": [hot]}}
    features = FeatureSet.from_dict({"version": 1, "inputs": inputs})
    arrays = features.fit(open_frame(tmp_path / "o.arrow"), progress=False)
    made = arrays.transform_records({"v.length": [2, 1], "tags": ["a|b", "a"]})
    assert made["t"].tolist() == [[0, 0, 1, 1], [0, 0, 1, 0]]


@pytest.mark.slow
def test_a_longer_list_later_widens_the_column(tmp_path) -> None:
    kind = pa.schema([("v", pa.list_(pa.float32()))])
    with pq.ParquetWriter(tmp_path / "in.parquet", kind) as writer:
        for longest in (2, 5, 3):
            writer.write_table(pa.table({"v": [[float(i)] * (1 + i % longest) for i in range(70_000)]}, kind))
    found = rows_of(tmp_path / "in.parquet", tmp_path / "o.arrow", workers=2)
    assert found["v"][1] == [1.0, 1.0, None, None, None]
    assert found["v"][70_004] == [4.0] * 5
    assert found["v.length"] == [1 + i % n for n in (2, 5, 3) for i in range(70_000)]


def test_a_length_that_is_asked_for_holds_and_longer_lists_are_bad_rows(tmp_path) -> None:
    table = pa.table({"v": [[1], [1, 2, 3], [4, 5]]})
    with pytest.raises(BadRowError, match="line 2: column 'v': a list of 3 elements, expected up to 2"):
        convert(table, tmp_path / "e.arrow", lists={"v": 2}, progress=False)
    found = rows_of(table, tmp_path / "o.arrow", lists=2, on_bad_rows="reject")
    assert found == {"v": [[1, None], [4, 5]], "v.length": [1, 2]}
    declared = {"columns": {"v": "float64[4]"}}
    assert rows_of(table, tmp_path / "d.arrow", schema=declared)["v"][1] == [1.0, 2.0, 3.0, None]


def test_another_length_after_equal_ones_is_refused_with_the_way_out(tmp_path) -> None:
    batches = [pa.table({"v": [[1, 2]]}), pa.table({"v": [[1, 2, 3]]})]
    with pytest.raises(SchemaError, match=r"a list of 3 elements after lists of 2.*lists={'v': 'ragged'}") as caught:
        convert(iter(batches), tmp_path / "o.arrow", progress=False)
    assert rows_of(iter(batches), tmp_path / "o.arrow", **caught.value.options)["v.length"] == [2, 3]


def test_maps_become_columns_by_key(tmp_path) -> None:
    kind = pa.map_(pa.string(), pa.float64())
    table = pa.table({"m": pa.array([[("a", 1.0), ("b", None)], None, [], [("b", 3.0)]], kind)})
    expected = {"m.a": [1.0, None, None, None], "m.b": [None, None, None, 3.0]}
    assert rows_of(table, tmp_path / "o.arrow") == expected
    assert rows_of(table, tmp_path / "o.arrow", maps={"m": ["b", "c"]}) == {"m.b": expected["m.b"], "m.c": [None] * 4}
    later = [pa.table({"m": pa.array([[(key, 1.0)]], kind)}) for key in "ab"]
    with pytest.raises(SchemaError, match=r"the key 'b' isn't in the first rows.*maps={'m': \['a', 'b'\]}"):
        convert(iter(later), tmp_path / "e.arrow", progress=False)


def test_lists_of_structs_become_lists_of_each_field(tmp_path) -> None:
    table = pa.table({"e": [[{"t": 1, "k": "a"}, {"t": 2, "k": "b"}], [], [{"t": 3, "k": None}]]})
    found = rows_of(table, tmp_path / "o.arrow")
    assert found["e.t"] == [[1, 2], [None, None], [3, None]]
    assert found["e.k"] == ["a|b", "", ""]
    assert found["e.t.length"] == found["e.k.length"] == [2, 0, 1]


def test_what_cannot_be_flat_is_left_out_by_columns(tmp_path) -> None:
    table = pa.table({"a": [1], "when": [[dt.datetime(2020, 1, 1)]], "b": [{"x": 2, "raw": b"\0"}]})
    with pytest.raises(SchemaError, match=r"column 'when': type list.*columns=\['a', 'b.x'\]") as caught:
        convert(table, tmp_path / "e.arrow", progress=False)
    assert rows_of(table, tmp_path / "o.arrow", **caught.value.options) == {"a": [1], "b.x": [2]}
    assert rows_of(table, tmp_path / "o.arrow", columns=["a", "b.x"]) == {"a": [1], "b.x": [2]}


def test_mistakes_are_named(tmp_path) -> None:
    table = pa.table({"v": [["a|b"]]})
    with pytest.raises(SchemaError, match=r"holds '\|', by which they are joined.*lists={'v': ';;'}"):
        convert(table, tmp_path / "o.arrow", progress=False)
    with pytest.raises(OptionError, match="option lists; got 'all'"):
        convert(table, tmp_path / "o.arrow", lists="all", progress=False)
    with pytest.raises(OptionError, match="option maps"):
        convert(table, tmp_path / "o.arrow", maps=["v"], progress=False)
    double = pa.table({"p.x": [1], "p": [{"x": 2}]})
    with pytest.raises(SchemaError, match=r"column names must differ; got \['p.x'\]"):
        convert(double, tmp_path / "o.arrow", progress=False)
