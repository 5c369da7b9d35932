"""The augmentation benchmark runs, small."""

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
    command = [sys.executable, str(script), "--rows", "2048", "--only", "numpy", "--rounds", "1", "--batches", "4"]
    command.append("--json")
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, timeout=280)
    found = json.loads(done.stdout.splitlines()[-1])
    assert all(one["clock"][0] > 0 and one["cpu"][0] > 0 for one in found["ratios"])
