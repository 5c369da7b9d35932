"""The augmentation benchmark runs, and what it compares does the same to an image."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.bench
@pytest.mark.slow
def test_the_augmentation_benchmark_runs() -> None:
    script = Path(__file__).with_name("bench_augment.py")
    command = [sys.executable, str(script), "--rows", "2048", "--rounds", "1", "--batches", "4", "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, timeout=280)
    found = json.loads(done.stdout.splitlines()[-1])
    assert all(one["clock"][0] > 0 and one["cpu"][0] > 0 for one in found["ratios"])
