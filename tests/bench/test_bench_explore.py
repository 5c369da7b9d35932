"""The exploration benchmark runs, and both contenders find the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.bench
def test_the_exploration_benchmark_runs():
    script = Path(__file__).with_name("bench_explore.py")
    command = [sys.executable, str(script), "--rows", "30000"]
    lines = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, timeout=240).stdout.splitlines()
    ours, pandas = (json.loads(line.split(" ", 1)[1]) for line in lines[:2])
    assert ours["mean_x3"] == pytest.approx(pandas["mean_x3"])
    assert ours["median_q0"] == pytest.approx(pandas["median_q0"], rel=0.02)
    assert lines[2].startswith("vaxseq is ")
