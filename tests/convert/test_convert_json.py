"""JSON as it is written: objects and lists in lines, arrays, objects over several lines, answers with a head."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings

from vaxseq.convert import convert
from vaxseq.convert.readers import delimited, json_elements, jsonl
from vaxseq.errors import BadRowError, OptionError, SchemaError, SourceError


def rows_of(path: Path, target: Path, **options: Any) -> dict[str, list[Any]]:
    made = convert(path, target, overwrite=True, resume=False, progress=False, **options)
    return pa.ipc.open_file(pa.memory_map(str(made.location))).read_all().to_pydict()


def written(folder: Path, text: str, name: str = "a.jsonl") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


ROWS = [
    {
        "t": 1,
        "p": {"x": 0.5, "q": {"n": "a\nb"}},
        "v": [1, 2.5],
        "e": [{"k": 1}, {"k": 2}],
        "r": [1],
        "tags": ["a", "é"],
    },
    {"t": 2, "p": {"x": 2.5, "q": None}, "v": [3, 4], "e": [{"k": 3}, {"k": 4}], "r": [], "tags": []},
    {"t": 3, "p": None, "v": None, "e": [{"k": 5}, {"k": 6}], "r": [1, 2], "tags": None},
]  # fmt: skip
FLAT = {
    "t": [1, 2, 3], "p.x": [0.5, 2.5, None], "p.q.n": ["a\nb", None, None], "v": [[1.0, 2.5], [3.0, 4.0], None],
    "e.k": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], "r": [[1.0, None], [None, None], [1.0, 2.0]], "r.length": [1, 0, 2],
    "tags": ["a|é", "", None], "tags.length": [2, 0, None],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "options"),
    [
        ("a.jsonl", "\n".join(json.dumps(row) for row in ROWS), {}),
        ("a.json", json.dumps(ROWS), {}),
        ("a.json", json.dumps(ROWS, indent=2, ensure_ascii=False), {}),
        ("a.json", "\n\n".join(json.dumps(row, indent=1) for row in ROWS), {}),
        ("a.json", json.dumps({"meta": {"n": [1]}, "data": {"rows": ROWS}}, indent=1), {"records": "data.rows"}),
        ("a.json", "\ufeff" + json.dumps(ROWS), {}),
    ],
    ids=["lines", "array", "pretty array", "pretty objects", "answer", "byte-order mark"],
)
def test_nested_objects_and_lists_come_in_flat(tmp_path, name, text, options) -> None:
    found = rows_of(written(tmp_path, text, name), tmp_path / "o.arrow", **options)
    assert {key: found[key] for key in FLAT} == FLAT
    assert found.keys() == FLAT.keys()


def test_an_array_beyond_a_block_comes_whole_and_compressed(tmp_path, monkeypatch) -> None:
    import gzip

    monkeypatch.setattr(json_elements, "_BLOCK", 64)
    rows = [{"i": i, "s": "é" * (i % 90), "v": [i, i]} for i in range(500)]
    path = tmp_path / "a.json.gz"
    path.write_bytes(gzip.compress(json.dumps(rows, ensure_ascii=False).encode()))
    found = rows_of(path, tmp_path / "o.arrow")
    assert found["i"] == list(range(500))
    assert found["s"] == ["é" * (i % 90) for i in range(500)]


CELLS = st.one_of(
    st.none(), st.integers(-9, 9), st.floats(-9, 9, width=16), st.lists(st.integers(-3, 3), max_size=3),
    st.lists(st.sampled_from(["a", "b", ""]), max_size=3), st.booleans(), st.sampled_from(["x", "y|z", ""]),
)  # fmt: skip
RECORDS = st.lists(
    st.fixed_dictionaries({"a": CELLS, "p": st.none() | st.fixed_dictionaries({"x": CELLS, "y": CELLS})}),
    min_size=1, max_size=6,
)  # fmt: skip


@pytest.mark.slow
def test_the_fast_way_says_what_the_slow_one_says(tmp_path_factory, monkeypatch) -> None:
    folder = tmp_path_factory.mktemp("json")
    fast = jsonl.read_fast

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(RECORDS)
    def check(rows: list[dict[str, Any]]) -> None:
        path = written(folder, "\n".join(json.dumps(row) for row in rows))
        answers = []
        for way in (fast, lambda *_, **__: None):
            monkeypatch.setattr(jsonl, "read_fast", way)
            try:
                answers.append(rows_of(path, folder / "o.arrow"))
            except (SchemaError, BadRowError) as error:
                answers.append(type(error))
        assert answers[0] == answers[1]

    check()


TIMES = {
    "seconds": "2021-03-04T05:06:07", "parts": "2021-03-04 05:06:07.25", "zone": "2021-03-04T05:06:07+01:00",
    "utc": "2021-03-04T05:06:07.125Z", "date": "2021-03-04", "month first": "12/31/2021 05:06:07",
    "day first": "31.12.2021", "minutes": "2021-03-04 05:06", "short": "2021-03", "number": "12345.25",
    "digits": "20210304", "impossible": "2021-02-31", "blank": "", "blanks": " 2021-03-04T05:06:07 ", "word": "x",
    "far": "2500-01-01T00:00:00.000000001",
}  # fmt: skip
OPTIONS = (
    {}, {}, {"timestamp_format": "%m/%d/%Y %H:%M:%S"}, {"forms": {"t": "month_first"}}, {"null_values": {"t": ["x"]}},
    {"schema": {"columns": {"t": "timestamp[ms]"}}, "on_bad_rows": "reject"},
    {"schema": {"columns": {"t": "date32"}}, "on_bad_rows": "reject"},
)  # fmt: skip
RUNS = st.lists(
    st.tuples(st.sampled_from([*TIMES, *("seconds", "parts", "utc", "date") * 4]), st.integers(1, 60)),
    min_size=1, max_size=5,
)  # fmt: skip


@pytest.mark.slow
def test_the_fast_way_reads_the_same_times(tmp_path_factory, monkeypatch) -> None:
    folder = tmp_path_factory.mktemp("json")
    fast, taken = jsonl.read_fast, set()
    for name in ("_SAMPLE", "_SMALLEST", "_LARGEST"):
        monkeypatch.setattr(delimited, name, 1 << 9)
    monkeypatch.setattr(delimited, "_ROWS", 1)

    def told(*given: Any, **options: Any) -> Any:
        found = fast(*given, **options)
        if found is not None:
            taken.add(str(found.schema.field("t").type))
        return found

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(RUNS, st.sampled_from(OPTIONS), st.sampled_from([None, 3, 1.5, True, "none"]))
    def check(runs: list[tuple[str, int]], options: dict[str, Any], other: Any) -> None:
        rows = [{"t": TIMES[kind], "i": number} for kind, count in runs for number in range(count)]
        if other != "none":
            rows[len(rows) // 2]["t"] = other
        path = written(folder, "\n".join(json.dumps(row) for row in rows))
        answers = []
        for way in (told, lambda *_, **__: None):
            monkeypatch.setattr(jsonl, "read_fast", way)
            try:
                made = convert(path, folder / "o.arrow", progress=False, overwrite=True, resume=False, **options)
                table = pa.ipc.open_file(pa.memory_map(str(made.location))).read_all()
                answers.append((table.schema, table.to_pydict(), made.rejected_rows, made.schema, made.notices))
            except (SchemaError, BadRowError) as error:
                answers.append(str(error))
        assert answers[0] == answers[1]

    check()
    assert {"timestamp[s]", "timestamp[ms]", "timestamp[ms, tz=UTC]", "date32[day]"} <= taken


def test_one_object_around_a_list_is_asked_about(tmp_path) -> None:
    path = written(tmp_path, json.dumps({"n": 2, "data": {"rows": [{"a": 1}, {"a": 2}]}}))
    with pytest.raises(SourceError, match=r"a list of 2 objects at 'data.rows'.*Pass records='data.rows'"):
        convert(path, tmp_path / "o.arrow", progress=False)
    with pytest.raises(SourceError, match="no key 'x' there"):
        convert(path, tmp_path / "o.arrow", records="data.x", progress=False)
    with pytest.raises(OptionError, match="option records; got 3"):
        convert(path, tmp_path / "o.arrow", records=3, progress=False)


def test_damage_is_told_by_its_line(tmp_path) -> None:
    with pytest.raises(SourceError, match="line 3: after 2 elements: Expecting value"):
        convert(written(tmp_path, '[{"a": 1},\n{"a": 2},\n{"a":', "a.json"), tmp_path / "o.arrow", progress=False)
    path = written(tmp_path, '{"s": "a"}\n{"s": "\\ud800"}\n')
    with pytest.raises(BadRowError, match="line 2: not JSON"):
        convert(path, tmp_path / "o.arrow", progress=False)
    assert rows_of(path, tmp_path / "o.arrow", on_bad_rows="reject") == {"s": ["a"]}


def test_lists_that_do_not_fit_their_column(tmp_path) -> None:
    path = written(tmp_path, '{"v": [1, 2]}\n{"v": [1, 2, 3]}\n{"v": [1, 2, 3]}\n')
    made = convert(path, tmp_path / "o.arrow", lists={"v": 2}, on_bad_rows="reject", progress=False)
    assert (made.n_rows, made.rejected_rows) == (1, 2)
    mixed = written(tmp_path, '{"v": [1, "x"], "a": 1}\n')
    with pytest.raises(SchemaError, match=r"column 'v': its lists hold more.*columns=\['a'\]"):
        convert(mixed, tmp_path / "m.arrow", progress=False)
    assert rows_of(mixed, tmp_path / "m.arrow", columns=["a"]) == {"a": [1]}
    twice = written(tmp_path, '{"p.x": 1, "p": {"x": 2}}\n')
    with pytest.raises(BadRowError, match="the key 'p.x' is there twice"):
        convert(written(tmp_path, '{"p.x": 1}\n' + twice.read_text()), tmp_path / "t.arrow", progress=False)


def test_a_late_longer_list_and_a_late_key(tmp_path, monkeypatch) -> None:
    from vaxseq.convert.readers import delimited

    for name in ("_SAMPLE", "_SMALLEST", "_LARGEST"):
        monkeypatch.setattr(delimited, name, 1 << 9)
    monkeypatch.setattr(delimited, "_ROWS", 1)
    lines = [json.dumps({"v": [1.5] * (i % 3), "i": i}) for i in range(200)] + ['{"v": [1, 2, 3, 4, 5], "i": 200}']
    found = rows_of(written(tmp_path, "\n".join(lines)), tmp_path / "o.arrow")
    assert found["v.length"] == [i % 3 for i in range(200)] + [5]
    assert found["v"][1] == [1.5, None, None, None, None]
    late = written(tmp_path, "\n".join([*lines, '{"i": 201, "p": {"x": 1}}']))
    with pytest.raises(SchemaError, match="line 202: key 'p.x' isn't in the first lines"):
        convert(late, tmp_path / "l.arrow", progress=False)
    assert len(rows_of(late, tmp_path / "o.arrow", columns=["i"])["i"]) == 202
