"""The benchmark of data larger than memory runs, small; where there is no control group it says why."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

CONTENDERS = [
    "plain read of the columns", "bare reads of the columns", "plain read of the store", "vaxseq store, in order",
    "vaxseq store, block shuffle",
]  # fmt: skip


@pytest.mark.bench
@pytest.mark.slow
def test_a_pass_over_more_than_the_memory_allowed(tmp_path: Path) -> None:
    script = Path(__file__).with_name("bench_memory.py")
    command = [sys.executable, str(script), "--limit-mb", "600", "--times", "0.6", "--rounds", "1"]
    command += ["--folder", str(tmp_path), "--only", *CONTENDERS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    if lines[0].startswith("not run: "):
        pytest.skip(lines[0])
    table = json.loads(lines[-1])["table"]
    assert list(table) == CONTENDERS
    for row in table.values():
        assert row["done"] == pytest.approx(1) and row["left_in_cache"] < 0.05
        assert row["rss_anon_mb"] < 500 and row["group_peak_mb"] < 601
        assert row["disk_reads"] < 1.5, "pages are read that nothing comes to"
