"""The benchmark of distributed preparation runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("distributed")


@pytest.mark.bench
@pytest.mark.slow
def test_the_dask_benchmark_runs(tmp_path):
    script = Path(__file__).with_name("bench_dask.py")
    output = tmp_path / "o.json"
    command = [sys.executable, str(script), "--rows", "8000", "--rounds", "1", "--output", str(output)]
    lines = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, timeout=240).stdout.splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    assert [row[0] for row in rows] == ["", "convert", "fit"]
    assert len({len(row) for row in rows}) == 1
    found = json.loads(output.read_text())
    assert (found["rows"], found["bar"]) == (8000, 1.4)
    assert all(len(ratios) == 1 and ratios[0] > 0 for ratios in found["ratios"].values())
