"""The benchmark of devices runs, small, on the backend that is set."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec

import pytest


@pytest.mark.bench
@pytest.mark.slow
@pytest.mark.backend
def test_every_way_is_in_the_table(bench) -> None:
    backend = os.environ["KERAS_BACKEND"]
    small = ["--rows", "2048", "--size", "512", "--rounds", "1", "--workers", "1", "--networks", "small"]
    done = bench("bench_device.py", *small, "--backends", backend)
    found = json.loads(done.stdout.splitlines()[-1])[backend]["small"]
    ways = {"one batch on the device", "device=None", "device=", "store='device'", "arrays on the device"}
    ways |= {"one batch at a time"} | ({"DataLoader, pinned"} if backend == "torch" else set())
    others = {"Grain": "grain", "tf.data": "tensorflow"}
    assert set(found) == ways | {one for one, package in others.items() if find_spec(package)}
    for way, one in found.items():
        assert f"| {way} |" in done.stdout
        assert one["step_ms"] > 0
        assert 0 <= one["waiting"] < 1
