"""The benchmark of buckets runs, small: a row an order, and plausible counts of bytes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.bench
@pytest.mark.slow
@pytest.mark.server
def test_every_order_is_in_the_table() -> None:
    pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    script = Path(__file__).with_name("bench_bucket.py")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), "--rows", "60000"], capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    orders = json.loads(lines[-1])["orders"]
    assert list(orders) == ["in order", "block", "global"]
    for name, one in orders.items():
        assert f"| {name} |" in done.stdout
        assert 1 <= one["bucket"]["fetched"][0] < 2
        assert one["local"]["fetched"] == [0, 0]
    for name in ("block", "global"):
        assert orders[name]["bucket"]["fetched"][1] == 0  # from the scratch
