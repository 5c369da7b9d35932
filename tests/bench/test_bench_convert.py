"""The conversion benchmark runs: once, on few rows."""

from __future__ import annotations

import pytest


@pytest.mark.bench
@pytest.mark.slow
def test_the_conversion_benchmark_runs(bench) -> None:
    done = bench("bench_convert.py", "20000", "1")
    assert len(done.stdout.splitlines()) == 7
