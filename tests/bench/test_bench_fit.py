"""The fit benchmark runs, and does in one scan what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.bench
def test_the_fit_benchmark_runs():
    script = Path(__file__).with_name("bench_fit.py")
    command = [sys.executable, str(script), "--rows", "30000", "--only", "vaxseq", "scikit-learn"]
    lines = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, timeout=240).stdout.splitlines()
    ours = json.loads(lines[0].removeprefix("vaxseq "))
    assert (ours["rows"], ours["scans"]) == (30_000, 1)
    assert lines[1].startswith("scikit-learn ")
    assert lines[2].startswith("vaxseq is ")
