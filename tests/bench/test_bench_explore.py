"""The exploration benchmark runs, and both contenders find the same."""

from __future__ import annotations

import json

import pytest


@pytest.mark.bench
def test_the_exploration_benchmark_runs(bench):
    lines = bench("bench_explore.py", "--rows", "30000").stdout.splitlines()
    ours, pandas = (json.loads(line.split(" ", 1)[1]) for line in lines[:2])
    assert ours["mean_x3"] == pytest.approx(pandas["mean_x3"])
    assert ours["median_q0"] == pytest.approx(pandas["median_q0"], rel=0.02)
    assert lines[2].startswith("vaxseq is ")
