"""The fit benchmark runs, and does in one scan what it says."""

from __future__ import annotations

import json

import pytest


@pytest.mark.bench
def test_the_fit_benchmark_runs(bench):
    lines = bench("bench_fit.py", "--rows", "30000", "--only", "vaxseq", "scikit-learn").stdout.splitlines()
    ours = json.loads(lines[0].removeprefix("vaxseq "))
    assert (ours["rows"], ours["scans"]) == (30_000, 1)
    assert lines[1].startswith("scikit-learn ")
    assert lines[2].startswith("vaxseq is ")
