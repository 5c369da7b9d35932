"""The benchmark of fit still runs."""

from __future__ import annotations

import json
import os

import pytest


@pytest.mark.slow
def test_it_measures_fit_and_reads_by_index(bench):
    options = ["--rows", "4096", "--rounds", "1", "--reads", "20", "--backends", os.environ["KERAS_BACKEND"]]
    lines = bench("bench_adapter.py", *options).stdout.splitlines()
    found = json.loads(lines[-1])[f"{os.environ['KERAS_BACKEND']} after"]
    assert found["ratio"] > 0
    assert found["reads_s"] > 0
