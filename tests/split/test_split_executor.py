"""Splitting with other processes: the parts are the same rows, whatever is split by."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import vaxseq as vs
from vaxseq.dataset import fanout
from vaxseq.errors import SourceError
from vaxseq.split import scan

ROWS = 40_000
SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Any:
    rng = np.random.default_rng(0)
    table = {
        "x": rng.normal(size=ROWS),
        "city": rng.choice(["Bonn", "Essen", "Köln"], ROWS, p=[0.1, 0.3, 0.6]),
        "device": rng.integers(0, 300, ROWS),
        "t": rng.integers(0, 10**6, ROWS).astype("datetime64[s]"),
    }
    path = tmp_path_factory.mktemp("split") / "a.arrow"
    vs.convert(pa.table(table), path, progress=False)
    return vs.open(path)


@pytest.fixture(scope="module")
def pool(forkserver) -> Any:
    with ProcessPoolExecutor(2, mp_context=forkserver) as pool:
        yield pool


def rows_of(parts: Any) -> dict[str, list[float]]:
    return {name: part.x.tolist() for name, part in parts.items()}


@pytest.mark.parametrize("filtered", [False, True], ids=["all", "filtered"])
@pytest.mark.parametrize(
    "options",
    [
        {"by": "random", "seed": 3},
        {"by": "random", "stratify": "city"},
        {"by": "group", "key": "device"},
        {"by": "time", "key": "t", "gap": "10s"},
    ],
    ids=lambda options: "-".join(str(one) for one in options.values()),
)
def test_the_parts_are_the_same(data, pool, monkeypatch, options: dict[str, Any], filtered: bool) -> None:
    monkeypatch.setattr(scan, "_UNIT_ROWS", 7_000)
    frame = data[data.x > -1] if filtered else data
    alone, shared = vs.split(frame, SHARES, **options), vs.split(frame, SHARES, **options, executor=pool)
    assert shared.rows == alone.rows
    assert shared.dropped == alone.dropped
    assert rows_of(shared) == rows_of(alone)


def test_results_come_in_the_order_of_the_calls_and_few_are_ahead(pool) -> None:
    asked = []

    def calls() -> Any:
        for number in range(40):
            asked.append(number)
            yield (number,)

    results = fanout.in_turn(pool, partial(pow, 2), calls(), where="here")
    assert next(results) == 1
    assert len(asked) <= 2 + 2
    assert list(results) == [2**number for number in range(1, 40)]


def die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_is_told(data, monkeypatch, tmp_path: Path, forkserver) -> None:
    monkeypatch.setattr(scan, "_of_unit", die)
    with (
        ProcessPoolExecutor(1, mp_context=forkserver) as killed,
        pytest.raises(SourceError, match="split: a worker process ended while it read"),
    ):
        vs.split(data, SHARES, by="group", key="device", executor=killed)
