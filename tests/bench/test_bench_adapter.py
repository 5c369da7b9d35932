"""The benchmark of fit still runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_it_measures_fit_and_reads_by_index():
    script = Path(__file__).with_name("bench_adapter.py")
    options = ["--rows", "5000", "--rounds", "1", "--reads", "20", "--backends", os.environ["KERAS_BACKEND"]]
    command = [sys.executable, str(script), *options]
    lines = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, timeout=240).stdout.splitlines()
    found = json.loads(lines[-1])[f"{os.environ['KERAS_BACKEND']} after"]
    assert found["ratio"] > 0
    assert found["reads_s"] > 0
