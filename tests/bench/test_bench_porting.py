"""The three ported classes run, each as it was and in each step of its port, with what the profile says of it.

Whether a verdict is right is told in tests/profile, by classes made for it: a third of a second here tells little.
"""

from __future__ import annotations

import json

import pytest


@pytest.mark.bench
@pytest.mark.slow
def test_the_porting_benchmark_runs(bench) -> None:
    done = bench("bench_porting.py", "--rows", "40960", "--seconds", "0.3", "--json")
    found = json.loads(done.stdout.splitlines()[-1])
    assert {row["class"] for row in found if row["step"] == "as it was"} == {
        "work on each item", "h5py slices", "a process pool",
    }  # fmt: skip
    assert [row["class"] for row in found].count("work on each item") == 4
    assert all(row["rows_per_s"] > 0 and row["gain"] > 0 and row["verdict"] and row["advice"] for row in found)
