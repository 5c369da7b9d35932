"""Exploring with other processes: what is found, and the page of a report, are the same to the bit."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import vaxseq as vs
from vaxseq.errors import SourceError
from vaxseq.report import scan


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    rng = np.random.default_rng(0)
    rows = 200_000
    table: dict[str, Any] = {f"x{number}": rng.normal(number, 1, rows).astype("float32") for number in range(5)}
    table["city"] = rng.choice(["Bonn", "Essen", "Köln"], rows).astype(object)
    table["t"] = np.arange(rows).astype("datetime64[s]")
    vs.convert(pa.table(table), tmp_path / "a.arrow", progress=False)
    return vs.open(tmp_path / "a.arrow")


@pytest.fixture(scope="module")
def pool(forkserver) -> Any:
    with ProcessPoolExecutor(2, mp_context=forkserver) as pool:
        yield pool


def fresh(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Nothing was explored before."""
    monkeypatch.setenv("VAXSEQ_CACHE", str(folder))


@pytest.mark.slow
def test_the_columns_are_the_same_to_the_bit(data, pool, tmp_path, monkeypatch) -> None:
    chosen = data[data.x0 > -0.5]
    fresh(monkeypatch, tmp_path / "one")
    alone = vs.explore(chosen, progress=False)
    fresh(monkeypatch, tmp_path / "two")
    shared = vs.explore(chosen, executor=pool, progress=False)
    assert list(shared) == list(alone)
    assert shared.to_dict() == alone.to_dict()


@pytest.mark.slow
def test_the_page_is_the_same(data, pool, tmp_path, monkeypatch) -> None:
    parts = vs.split(data, {"train": 0.8, "test": 0.2})
    pages = []
    for name, executor in {"one": None, "two": pool}.items():
        fresh(monkeypatch, tmp_path / name)
        path = tmp_path / f"{name}.html"
        vs.report(data, path, splits=parts, title="Cities", executor=executor, progress=False)
        pages.append(path.read_bytes())
    assert pages[0] == pages[1]


def die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_is_told(data, tmp_path, monkeypatch, forkserver) -> None:
    fresh(monkeypatch, tmp_path / "three")
    monkeypatch.setattr(scan, "scan_elsewhere", die)
    with (
        ProcessPoolExecutor(1, mp_context=forkserver) as killed,
        pytest.raises(SourceError, match="explore: a worker process ended while it read"),
    ):
        vs.explore(data, executor=killed, progress=False)
    assert not list((tmp_path / "three").glob("*"))
