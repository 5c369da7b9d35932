"""The benchmark of buckets runs, small: a row an order, and plausible counts of bytes."""

from __future__ import annotations

import json

import pytest


@pytest.mark.bench
@pytest.mark.slow
@pytest.mark.server
def test_every_order_is_in_the_table(bench) -> None:
    pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    done = bench("bench_bucket.py", "--rows", "60000")
    lines = done.stdout.splitlines()
    orders = json.loads(lines[-1])["orders"]
    assert list(orders) == ["in order", "block", "global"]
    for name, one in orders.items():
        assert f"| {name} |" in done.stdout
        assert 1 <= one["bucket"]["fetched"][0] < 2
        assert one["local"]["fetched"] == [0, 0]
    for name in ("block", "global"):
        assert orders[name]["bucket"]["fetched"][1] == 0  # from the scratch
