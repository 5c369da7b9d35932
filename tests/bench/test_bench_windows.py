"""The windows benchmark runs, small."""

from __future__ import annotations

import json

import pytest


@pytest.mark.bench
@pytest.mark.slow
def test_the_windows_benchmark_runs(bench):
    options = [
        "--rows",
        "8000",
        "--series",
        "20",
        "--peer-rows",
        "1",
        "--length",
        "16",
        "--rounds",
        "1",
        "--batches",
        "5",
    ]
    lines = bench("bench_windows.py", *options).stdout.splitlines()
    found = json.loads(lines[-1])
    assert found["many"]["vaxseq"]["batches_s"] > 0
    assert found["one"]["keras"]["batches_s"] > 0
