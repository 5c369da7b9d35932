"""The benchmark of distributed preparation runs."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("distributed")


@pytest.mark.bench
@pytest.mark.slow
def test_the_dask_benchmark_runs(bench, tmp_path):
    output = tmp_path / "o.json"
    lines = bench("bench_dask.py", "--rows", "8000", "--rounds", "1", "--output", output).stdout.splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    assert [row[0] for row in rows] == ["", "convert", "fit"]
    assert len({len(row) for row in rows}) == 1
    found = json.loads(output.read_text())
    assert (found["rows"], found["bar"]) == (8000, 1.4)
    assert all(len(ratios) == 1 and ratios[0] > 0 for ratios in found["ratios"].values())
