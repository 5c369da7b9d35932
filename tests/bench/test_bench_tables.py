"""The tables' benchmark runs, and tells of each kind."""

from __future__ import annotations

import pytest


@pytest.mark.bench
def test_the_tables_benchmark_runs(bench):
    lines = bench("bench_tables.py", "--rows", "20000", "--rounds", "1").stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        f"Sequence({kind})" for kind in ("vaex", "pandas", "polars", "arrow", "dict")
    ]
