"""What a profile says of the order: of rows read one by one, and of batches that aren't mixed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vaex

import vaxseq
from vaxseq.training.sequence import Sequence

ROWS = 60_000


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("order") / "d.hdf5"
    vaex.from_arrays(x=np.arange(float(ROWS)), y=np.arange(ROWS) // 6000).export_hdf5(str(path))
    return str(path)


def texts(profile: Any) -> str:
    return " ".join(one.text for one in profile.advice)


@pytest.mark.slow
def test_sorted_targets_are_told_in_numbers(data: str) -> None:
    options: dict[str, Any] = {"inputs": ["x"], "targets": "y", "batch_size": 256}
    told = texts(vaxseq.profile(Sequence(data, **options), seconds=0.5))
    assert "times as much from batch to batch as in a uniform shuffle" in told
    for shuffle in ("global", "block"):
        assert "uniform shuffle" not in texts(vaxseq.profile(Sequence(data, **options, shuffle=shuffle), seconds=0.5))


def test_rows_read_one_by_one_are_told(data: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VAXSEQ_MEMORY", "200kB")
    options: dict[str, Any] = {"inputs": ["x"], "targets": "y", "batch_size": 256, "shuffle": "global"}
    told = texts(vaxseq.profile(Sequence(data, **options, scratch=None), seconds=0.5))
    assert "each row is read by itself" in told
    assert "each row is read by itself" not in texts(
        vaxseq.profile(Sequence(data, **options, scratch=tmp_path), seconds=0.5)
    )
