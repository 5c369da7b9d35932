"""The conversion benchmark runs: once, on few rows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.bench
@pytest.mark.slow
def test_the_conversion_benchmark_runs() -> None:
    script = Path(__file__).with_name("bench_convert.py")
    done = subprocess.run([sys.executable, str(script), "20000", "1"], capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 7
