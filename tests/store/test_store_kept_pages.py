"""Of a store that memory can't hold, the page cache keeps as many of the first rows as it can: no cliff at its size."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import vaxseq as vs
from vaxseq.frame import direct_reads
from vaxseq.frame.direct_reads import FileRows
from vaxseq.store import reading

ROWS = 30_000
ROW_BYTES = 2 * 4 + 4  # the target is stored as int32
OPTIONS: dict[str, Any] = {"inputs": ["a", "b"], "targets": "y", "batch_size": 500, "read_ahead": 0}


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    rng = np.random.default_rng(0)
    table = pa.table({"a": rng.random(ROWS, np.float32), "b": rng.random(ROWS, np.float32), "y": np.arange(ROWS)})
    vs.convert(table, tmp_path / "d.arrow", progress=False)
    vs.Sequence(tmp_path / "d.arrow", store=tmp_path / "s.h5", **OPTIONS)
    monkeypatch.setattr(reading, "_PART_BYTES", 4_000)
    return tmp_path / "d.arrow", tmp_path / "s.h5"


def _requests(patch: pytest.MonkeyPatch) -> list[tuple[bool, int]]:
    """Of each read of the input's rows: whether it goes past the page cache, and the row that it ends before."""
    found, read = [], FileRows.read_extents

    def seen(self: FileRows, extents: Any, out: Any) -> None:
        if self.row_bytes == 8 and out.dtype == np.float32:
            found.append((self.past_cache, (extents[-1][1] - self.offset) // self.row_bytes))
        read(self, extents, out)

    patch.setattr(FileRows, "read_extents", seen)
    return found


@pytest.mark.parametrize(("own", "kept"), [(200_000, 200_000 // ROW_BYTES), (400_000, 0), (512 << 20, 0)])
def test_the_first_rows_come_through_the_page_cache_and_the_rest_past_it(
    stored: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, own: int, kept: int
) -> None:
    data, store = stored
    expected = list(_batches(vs.Sequence(data, store=store, **OPTIONS)))
    monkeypatch.setenv("VAXSEQ_MEMORY", "400kB")
    monkeypatch.setattr(direct_reads, "_OWN_BYTES", own)
    requests = _requests(monkeypatch)
    for got, right in zip(_batches(vs.Sequence(data, store=store, **OPTIONS)), expected, strict=True):
        assert got == right
    assert len(requests) > 20
    assert all(past_cache == (stop > kept) for past_cache, stop in requests)
    assert any(not past_cache for past_cache, _ in requests) == (kept > 0)


def _batches(sequence: vs.Sequence) -> Iterator[bytes]:
    for number in range(len(sequence)):
        x, y = sequence.batch(0, number)
        yield np.asarray(x).tobytes() + np.asarray(y).tobytes()
