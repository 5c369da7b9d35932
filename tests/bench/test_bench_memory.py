"""The benchmark of data larger than memory runs, small; where there is no control group it says why."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CONTENDERS = [
    "plain read of the columns", "bare reads of the columns", "plain read of the store", "vaxseq store, in order",
    "vaxseq store, block shuffle",
]  # fmt: skip


@pytest.mark.bench
@pytest.mark.slow
def test_a_pass_over_more_than_the_memory_allowed(bench: Callable[..., Any], tmp_path: Path) -> None:
    options = ["--limit-mb", "250", "--times", "1.1", "--rounds", "1", "--folder", tmp_path]
    done = bench("bench_memory.py", *options, "--only", *CONTENDERS)
    lines = done.stdout.splitlines()
    if lines[0].startswith("not run: "):
        pytest.skip(lines[0])
    table = json.loads(lines[-1])["table"]
    assert list(table) == CONTENDERS
    for row in table.values():
        assert row["done"] == pytest.approx(1) and row["left_in_cache"] < 0.05
        assert row["rss_anon_mb"] < 230 and row["group_peak_mb"] < 251
        assert row["disk_reads"] < 1.5, "pages are read that nothing comes to"
