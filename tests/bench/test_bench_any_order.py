"""The benchmark of orders beyond memory runs, small; where there is no control group it says why."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.bench
@pytest.mark.slow
def test_orders_of_more_than_the_memory(tmp_path: Path) -> None:
    script = Path(__file__).with_name("bench_any_order.py")
    only = ["plain read", "columns, global", "columns, in order"]
    command = [sys.executable, str(script), "--limit-mb", "600", "--rows", "4000000", "--folder", str(tmp_path)]
    done = subprocess.run([*command, "--only", *only], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    if lines[0].startswith("not run: "):
        pytest.skip(lines[0])
    table = json.loads(lines[-1])["table"]
    assert list(table) == only
    assert table["columns, global"]["way"].startswith("scattered over 0.35 GB")
    for row in table.values():
        assert row["rows_s"] > 0 and row["rss_anon_mb"] < 500
