"""Rows on a grid of times: equal to pandas' resample, however the rows are cut."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings

from vaxseq.cli import main
from vaxseq.convert import convert, resampling
from vaxseq.convert.resampling import Grid, Resample
from vaxseq.dataset.manifest import Manifest
from vaxseq.errors import ColumnNotFoundError, OptionError, SchemaError

START = dt.datetime(2024, 1, 1)


def at(*seconds: int) -> list[dt.datetime]:
    return [START + dt.timedelta(seconds=one) for one in seconds]


TABLE = pa.table({
    "t": at(47, 1, 12, 13, 100, 5), "d": ["a", "a", "a", "a", "b", "b"], "x": [5, 1, 2, 4, 8, 7],
    "s": ["r", "p", "q", None, "v", "u"], "w": [[5.0, 5.0], [1.0, 1.0], [2.0, 2.0], [4.0, 4.0], [8.0, 8.0], [7.0, 7.0]],
})  # fmt: skip


def rows_of(target: Path, source: Any = TABLE, **resample: Any) -> dict[str, list[Any]]:
    made = convert(source, target, resample=resample, overwrite=True, resume=False, progress=False)
    found = pa.ipc.open_file(pa.memory_map(str(made.location))).read_all()
    assert made.n_rows == found.num_rows
    return found.to_pydict()


def test_gaps_are_missing_rows(tmp_path) -> None:
    found = rows_of(tmp_path / "o.arrow", order_by="t", every="10s", group_by="d", max_gap="40s")
    assert found == {
        "t": at(0, 10, 20, 30, 40, 0, 100), "d": ["a"] * 5 + ["b"] * 2, "x": [1.0, 3.0, None, None, 5.0, 7.0, 8.0],
        "s": ["p", "q", None, None, "r", "u", "v"],
        "w": [[1.0, 1.0], [4.0, 4.0], None, None, [5.0, 5.0], [7.0, 7.0], [8.0, 8.0]],
    }  # fmt: skip


def test_whole_numbers_beyond_a_float64_have_a_mean_and_no_rounded_sum(tmp_path) -> None:
    table = pa.table({"t": at(0, 1), "x": [2**55 + 1, 2**55 + 3]})
    assert rows_of(tmp_path / "o.arrow", table, order_by="t", every="10s", how="mean")["x"] == [float(2**55)]
    assert rows_of(tmp_path / "o.arrow", table, order_by="t", every="10s", how="max")["x"] == [2**55 + 3]
    with pytest.raises(
        SchemaError, match=r"'sum' of column 'x', whose whole numbers beyond 2\*\*53 a float64 would round"
    ):
        rows_of(tmp_path / "p.arrow", table, order_by="t", every="10s", how="sum")


def test_values_are_carried_forward_up_to_a_limit_and_never_into_another_series(tmp_path) -> None:
    found = rows_of(tmp_path / "o.arrow", order_by="t", every="10s", group_by="d", fill_forward=1)
    assert found["x"][:5] == [1.0, 3.0, 3.0, None, 5.0]
    assert found["x"][5:] == [7.0, 7.0, *[None] * 8, 8.0]
    split = rows_of(tmp_path / "o.arrow", order_by="t", every="10s", fill_forward=9, how={"s": "count", "x": "max"})
    assert split["x"] == [7, 4, 4, 4, 5, 5, 5, 5, 5, 5, 8]
    assert split["s"] == [2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize("target", ["o.hdf5", "folder"])
def test_every_target_takes_it(tmp_path, target) -> None:
    made = convert(
        TABLE, tmp_path / target, resample={"order_by": "t", "every": "10s", "group_by": ["d"]}, progress=False
    )
    assert (made.n_rows, made.schema.column("x").type) == (16, "float64")


@st.composite
def streams(draw: st.DrawFn) -> tuple[pd.DataFrame, int, int, int | None, str, list[int]]:
    rows = draw(st.integers(1, 40))
    seconds = draw(st.lists(st.integers(-200, 200), min_size=rows, max_size=rows))
    series = draw(st.lists(st.sampled_from([0, 1]), min_size=rows, max_size=rows))
    values = draw(st.lists(st.none() | st.integers(-8, 8).map(float), min_size=rows, max_size=rows))
    frame = pd.DataFrame({"t": seconds, "d": series, "x": pd.array(values, "Float64")})
    cuts = sorted(draw(st.lists(st.integers(0, rows), max_size=4)))
    every, limit = draw(st.integers(1, 30)), draw(st.integers(0, 3))
    gap = draw(st.none() | st.integers(1, 90))
    return frame.sort_values(["d", "t"], kind="stable"), every, limit, gap, draw(st.sampled_from(resampling.HOWS)), cuts


def expected(frame: pd.DataFrame, every: int, limit: int, gap: int | None, how: str) -> list[tuple[int, int, Any]]:
    """By pandas, one series at a time; a gap longer than ``gap`` parts a series."""
    found = []
    for series, part in frame.groupby("d", sort=True):
        steps = part.t // every
        grouped = part.x.groupby(steps)
        made = grouped.agg(how) if how != "sum" else grouped.agg(lambda one: one.sum(min_count=1))
        made.index = made.index.astype(int)
        longest = None if gap is None else max(gap // every, 1)
        begins = [0, *(i for i in range(1, len(made)) if longest and made.index[i] - made.index[i - 1] - 1 >= longest)]
        for first, last in zip(begins, [*begins[1:], len(made)], strict=True):
            piece = made.iloc[first:last]
            piece = piece.reindex(range(piece.index[0], piece.index[-1] + 1))
            if how == "count":
                piece = piece.fillna(0)
            elif limit:
                piece = piece.ffill(limit=limit)
            found += [
                (series, int(step) * every, None if pd.isna(value) else float(value)) for step, value in piece.items()
            ]
    return found


def test_it_is_what_pandas_makes_however_the_rows_are_cut() -> None:
    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(streams())
    def check(case: tuple[pd.DataFrame, int, int, int | None, str, list[int]]) -> None:
        frame, every, limit, gap, how, cuts = case
        table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
        types = dict(zip(table.column_names, table.schema.types, strict=True))
        options = Resample("t", every, "d", how, limit, gap)  # type: ignore[arg-type]
        edges = [0, *cuts, table.num_rows]
        parts = (table.slice(a, b - a) for a, b in pairwise(edges))
        made = pa.concat_tables(Grid(options, types).tables(parts)).to_pydict()
        rows = [
            (d, t, None if x is None else float(x)) for d, t, x in zip(made["d"], made["t"], made["x"], strict=True)
        ]
        assert rows == expected(frame, every, limit, gap, how)

    check()


def test_nan_is_missing_and_dictionaries_and_zones_go_through(tmp_path) -> None:
    words = pa.array(["u", "u", "v", "u"] * 50).dictionary_encode()
    times = pa.array([START + dt.timedelta(seconds=i) for i in range(200)], pa.timestamp("ms", "UTC"))
    table = pa.table({"t": times, "s": words, "x": np.where(np.arange(200) % 4 == 1, np.nan, 1.5)})
    found = rows_of(tmp_path / "o.arrow", table, order_by="t", every="1s", how={"x": "last"})
    assert found["x"][:3] == [1.5, None, 1.5] and found["s"] == ["u", "u", "v", "u"] * 50
    assert found["t"][-1] == START + dt.timedelta(seconds=199)


def test_a_long_gap_and_missing_times_are_refused(tmp_path) -> None:
    wild = pa.table({"t": [dt.datetime(1970, 1, 1), START], "x": [1, 2]})
    with pytest.raises(SchemaError, match=r"a gap of 1,7\d\d,\d\d\d,\d\d\d steps.*max_gap"):
        rows_of(tmp_path / "o.arrow", wild, order_by="t", every="1s")
    assert rows_of(tmp_path / "o.arrow", wild, order_by="t", every="1s", max_gap="1h")["x"] == [1.0, 2.0]
    with pytest.raises(SchemaError, match="column 't': 1 rows without a time"):
        rows_of(tmp_path / "n.arrow", pa.table({"t": [START, None], "x": [1, 2]}), order_by="t", every="1s")


def test_a_gap_is_written_in_blocks(tmp_path, monkeypatch) -> None:
    table = pa.table({"t": at(0, 900, 901, 2000), "x": [1, 2, 3, 4]})
    whole = rows_of(tmp_path / "o.arrow", table, order_by="t", every="1s", fill_forward=5)
    monkeypatch.setattr(resampling, "LARGEST_GAP", 1100)
    assert rows_of(tmp_path / "o.arrow", table, order_by="t", every="1s", fill_forward=5) == whole
    assert len(whole["t"]) == 2001 and sum(x is not None for x in whole["x"]) == 4 + 5 + 5


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"order_by": "t"}, OptionError, "expected a mapping with"),
        ({"order_by": "t", "every": "10s", "fil": 1}, OptionError, "unknown key 'fil'"),
        ({"order_by": "when", "every": "10s"}, ColumnNotFoundError, "no column 'when'"),
        ({"order_by": "s", "every": "10s"}, OptionError, "column 's'; got .*expected timestamps"),
        ({"order_by": "t", "every": "0.5us"}, OptionError, "every; got '0.5us'"),
        ({"order_by": "t", "every": 10}, OptionError, "every; got 10"),
        ({"order_by": "x", "every": "10s"}, OptionError, "expected a whole number"),
        ({"order_by": "t", "every": "10s", "how": "median"}, OptionError, "how; got 'median', expected one of"),
        ({"order_by": "t", "every": "10s", "how": {"s": "mean"}}, OptionError, "how; got 'mean' of column 's'"),
        ({"order_by": "t", "every": "10s", "how": {"w": "max"}}, OptionError, "how; got 'max' of column 'w'"),
        ({"order_by": "t", "every": "10s", "how": {"z": "max"}}, ColumnNotFoundError, "no column 'z'"),
        ({"order_by": "t", "every": "10s", "fill_forward": -1}, OptionError, "fill_forward; got -1"),
        ({"order_by": "t", "every": "10s", "group_by": "t"}, OptionError, r"group_by; got \['t'\]"),
        ({"order_by": "t", "every": "10s", "max_gap": "x"}, OptionError, "max_gap; got 'x'"),
    ],
)  # fmt: skip
def test_mistakes_are_named(tmp_path, options, kind, message) -> None:
    with pytest.raises(kind, match=message):
        convert(TABLE, tmp_path / "o.arrow", resample=options, progress=False)


def test_times_that_only_all_rows_tell(tmp_path) -> None:
    (tmp_path / "a.csv").write_text("t,x\n12/1/2021 00:01,1\n12/31/2021 00:00,3\n12/1/2021 00:05,2\n")
    found = rows_of(tmp_path / "o.arrow", tmp_path / "a.csv", order_by="t", every="1h", max_gap="1D")
    assert found == {"t": [dt.datetime(2021, 12, 1), dt.datetime(2021, 12, 31)], "x": [1.5, 3.0]}


def test_the_command_line(tmp_path) -> None:
    (tmp_path / "a.csv").write_text("t,d,x\n2024-01-01 00:00:01,a,1\n2024-01-01 00:00:31,a,3\n")
    target = tmp_path / "o.arrow"
    with pytest.raises(SystemExit) as ended:
        main(
            [
                "convert",
                str(tmp_path / "a.csv"),
                str(target),
                "--resample",
                "{order_by: t, every: 10s, fill_forward: 1}",
            ]
        )
    assert (ended.value.code, Manifest.load(target).n_rows) == (0, 4)


def test_the_manifest_s_ranges_are_those_of_the_grid(tmp_path: Path) -> None:
    made = convert(
        TABLE, tmp_path / "g.arrow", resample={"order_by": "t", "every": "1min", "how": {"x": "sum", "s": "count"}},
        progress=False,
    )  # fmt: skip
    table = pa.ipc.open_file(pa.memory_map(str(made.location))).read_all()
    for name in ("x", "s"):
        values = [one for one in table[name].to_pylist() if one is not None]
        assert made.ranges[name] == (min(values), max(values))
    assert made.ranges["x"][1] > max(TABLE["x"].to_pylist())
