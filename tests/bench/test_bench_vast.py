"""The benchmark of 10^11 rows runs, small: its table has each order, and the cost of a scatter is told."""

from __future__ import annotations

import json

import pytest


@pytest.mark.bench
@pytest.mark.slow
def test_orders_windows_and_costs_are_told(bench) -> None:
    done = bench("bench_vast.py", "--fragments", "300", "--fragment-rows", "100000", "--disk-gb-s", "3")
    lines = done.stdout.splitlines()
    found = json.loads(lines[-1])
    assert found["rows"] == 30_000_000
    assert len(found["orders"]) == 6
    assert all(0 < one["batch_ms"] < 100 for one in found["orders"].values())
    assert found["windows"]["windows"] > 300_000
    assert "scatter of 30,000,000 rows of 80 bytes" in lines[-2]
    assert "3.0 GB/s of disk" in lines[-2]
