"""The long run runs, short: files and threads are as many in the end as in the middle."""

from __future__ import annotations

import json

import pytest


@pytest.mark.bench
@pytest.mark.slow
def test_many_epochs_fits_and_frames_hold_nothing(bench) -> None:
    options = ["--epochs", "8", "--fits", "8", "--frames", "8", "--steps", "4"]
    done = bench("bench_long_run.py", *options)
    table = json.loads(done.stdout.splitlines()[-1])
    assert len(table) == 6
    for name, rows in table.items():
        assert [one["done"] for one in rows] == [2, 4, 6, 8]
        if "alone" not in name:
            assert rows[-1]["files"] <= rows[1]["files"], name
            assert rows[-1]["threads"] <= rows[1]["threads"] + 1, name
