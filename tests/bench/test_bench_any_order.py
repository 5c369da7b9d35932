"""The benchmark of orders beyond memory runs, small; where there is no control group it says why."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.bench
@pytest.mark.slow
def test_orders_of_more_than_the_memory(bench: Callable[..., Any], tmp_path: Path) -> None:
    only = ["plain read", "columns, global", "columns, in order"]
    options = ["--limit-mb", "200", "--rows", "2600000", "--folder", tmp_path]
    done = bench("bench_any_order.py", *options, "--only", *only)
    lines = done.stdout.splitlines()
    if lines[0].startswith("not run: "):
        pytest.skip(lines[0])
    table = json.loads(lines[-1])["table"]
    assert list(table) == only
    assert re.match(r"scattered over 0\.2[34] GB of scratch", table["columns, global"]["way"])
    for row in table.values():
        assert row["rows_s"] > 0 and row["rss_anon_mb"] - row["before_mb"] < 200
