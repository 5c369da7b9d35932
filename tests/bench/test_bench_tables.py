"""The tables' benchmark runs, and tells of each kind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.bench
def test_the_tables_benchmark_runs():
    script = Path(__file__).with_name("bench_tables.py")
    command = [sys.executable, str(script), "--rows", "20000", "--rounds", "1"]
    lines = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, timeout=240).stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        f"Sequence({kind})" for kind in ("vaex", "pandas", "polars", "arrow", "dict")
    ]
