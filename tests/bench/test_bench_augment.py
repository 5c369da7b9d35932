"""The augmentation benchmark runs, small."""

from __future__ import annotations

import json

import pytest


@pytest.mark.bench
@pytest.mark.slow
def test_the_augmentation_benchmark_runs(bench) -> None:
    options = ["--rows", "2048", "--only", "numpy", "--rounds", "1", "--batches", "4", "--json"]
    done = bench("bench_augment.py", *options)
    found = json.loads(done.stdout.splitlines()[-1])
    assert all(one["clock"][0] > 0 and one["cpu"][0] > 0 for one in found["ratios"])
