"""The windows benchmark runs, small."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.bench
@pytest.mark.slow
def test_the_windows_benchmark_runs():
    script = Path(__file__).with_name("bench_windows.py")
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
    command = [sys.executable, str(script.with_name("forked.py")), str(script), *options]
    lines = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, timeout=240).stdout.splitlines()
    found = json.loads(lines[-1])
    assert found["many"]["vaxseq"]["batches_s"] > 0
    assert found["one"]["keras"]["batches_s"] > 0
