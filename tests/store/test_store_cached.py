"""The store that store="auto" keeps in the cache folder."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import vaxseq as vs


@pytest.mark.parametrize("cut", [0, 100, 2_000])
def test_a_damaged_one_is_made_again_with_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, cut: int
) -> None:
    monkeypatch.setenv("VAXSEQ_CACHE", str(tmp_path / "cache"))
    vs.convert(pa.table({"x": np.arange(1_000.0), "y": np.arange(1_000)}), tmp_path / "a.arrow", progress=False)
    options = {"inputs": ["x"], "targets": "y", "batch_size": 64, "store": "auto"}
    expected = vs.Sequence(tmp_path / "a.arrow", **options).batch(0, 3)
    [stored] = (tmp_path / "cache").glob("store-*.h5")
    stored.write_bytes(stored.read_bytes()[:cut])
    with caplog.at_level(logging.WARNING, logger="vaxseq"):
        again = vs.Sequence(tmp_path / "a.arrow", **options).batch(0, 3)
    assert np.asarray(again[0]).tobytes() == np.asarray(expected[0]).tobytes()
    assert [one for one in caplog.messages if "made again" in one]
    assert [one.name for one in (tmp_path / "cache").glob("store-*")] == [stored.name]
