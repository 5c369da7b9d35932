"""verify with other processes: the same answer, sound or damaged, and a worker that dies is said."""

from __future__ import annotations

import os
import signal
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import vaxseq as vs
from vaxseq.dataset import verifying
from vaxseq.errors import DatasetError, SourceError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part in range(5):
        table = pa.table({"x": np.arange(5000) + part, "y": np.arange(5000) / 7})
        vs.convert(table, tmp_path / "d", append=part > 0, progress=False)
    return tmp_path / "d"


@pytest.fixture(scope="module", params=["threads", "processes"])
def executor(request: pytest.FixtureRequest, forkserver: Any) -> Any:
    kind = ThreadPoolExecutor(2) if request.param == "threads" else ProcessPoolExecutor(2, mp_context=forkserver)
    with kind as made:
        yield made


def said(folder: Path, executor: Executor | None) -> str:
    with pytest.raises(DatasetError) as told:
        vs.verify(folder, executor=executor, progress=False)
    return str(told.value)


def test_what_is_found_is_the_same(folder: Path, executor: Executor) -> None:
    assert vs.verify(folder, executor=executor, progress=False) == vs.verify(folder, progress=False)
    files = sorted(folder.glob("*.arrow"))
    assert len(files) == 5
    for number in (1, 3):
        raw = bytearray(files[number].read_bytes())
        raw[len(raw) // 3] ^= 1
        files[number].write_bytes(bytes(raw))
    alone = said(folder, None)
    assert all(f"part-0000{number}.arrow: column" in alone for number in (1, 3))
    assert said(folder, executor) == alone


def die(path: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_dies_is_said(folder: Path, forkserver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "check", die)
    with ProcessPoolExecutor(1, mp_context=forkserver) as pool:
        told = pytest.raises(SourceError, match=r"verify .*/d: a worker process ended while it read.*use fewer workers")
        with told:
            vs.verify(folder, executor=pool, progress=False)
