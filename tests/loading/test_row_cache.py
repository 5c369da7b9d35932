"""A small selection in a random order: its rows are computed once, and every epoch's bytes stay the same."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import vaex

import vaxseq as vs
from vaxseq.errors import DatasetError, MissingValueError
from vaxseq.loading import row_cache
from vaxseq.loading.readers.frame import FrameReader
from vaxseq.loading.row_cache import RowCache

ROWS = 1_000


@pytest.fixture
def frame() -> vaex.dataframe.DataFrame:
    rng = np.random.default_rng(0)
    return vaex.from_arrays(i=np.arange(ROWS), a=rng.random(ROWS), b=rng.random(ROWS).astype(np.float32))


def sequence(frame, **options):
    return vs.Sequence(frame, inputs=["a", "b"], targets="i", batch_size=16, **{"shuffle": "global", **options})


@pytest.fixture
def gathered(monkeypatch) -> list[int]:
    """How many rows each call gathers."""
    calls: list[int] = []
    gather = FrameReader.gather

    def counted(self, row_ids, *, out=None):
        calls.append(len(row_ids))
        return gather(self, row_ids, out=out)

    monkeypatch.setattr(FrameReader, "gather", counted)
    return calls


def same(one, other) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    "options", [{}, {"where": "i % 3 != 0"}, {"pad": True}, {"shard": (1, 3)}, {"read_ahead": 0}, {"shuffle": "block"}]
)
def test_batches_are_those_without_it(frame, monkeypatch, options) -> None:
    kept = sequence(frame, **options)
    found = [[tuple(np.copy(part) for part in batch) for batch in kept] for _ in range(3)]
    monkeypatch.setattr(row_cache, "MOST_BYTES", 0)
    plain = sequence(frame, **options)
    assert plain._pipeline.items.cache is None
    for epoch in found:
        for one, other in zip(epoch, plain, strict=True):
            assert same(one, other)


@pytest.mark.parametrize("shuffle", ["global", "block"])
def test_a_row_is_computed_once(frame, gathered, shuffle) -> None:
    # read ahead, the next epoch may ask for a row while this one computes it
    train = sequence(frame, shuffle=shuffle, read_ahead=0)
    for _ in range(3):
        assert sum(len(batch[0]) for batch in train) == ROWS
    assert sum(gathered) == ROWS


def test_rows_that_are_drawn_again_and_again_are_computed_once(frame, gathered) -> None:
    frame["k"] = (frame.i < 10).astype("int32")
    balanced = {"balance": {0: 1, 1: 1}, "read_ahead": 0}
    train = vs.Sequence(frame, inputs=["a"], targets="k", batch_size=16, shuffle="global", **balanced)
    gathered.clear()  # the classes were counted
    for _ in range(6):
        for _ in train:
            pass
    assert 500 < sum(gathered) <= ROWS


def test_a_batch_that_is_handed_out_belongs_to_whoever_has_it(frame) -> None:
    train = sequence(frame)
    for batch in train:
        batch[0][...] = -1.0
    assert all((batch[0] >= 0).all() for batch in train)


def test_rows_that_many_threads_ask_for_are_right(frame) -> None:
    train, plain = sequence(frame), np.column_stack([frame.a.to_numpy(), frame.b.to_numpy()]).astype(np.float32)
    with ThreadPoolExecutor(8) as pool:
        for x, y in pool.map(lambda one: train.batch(*divmod(one, len(train))), range(4 * len(train))):
            assert np.array_equal(x, plain[np.asarray(y, np.int64)])


def test_more_rows_than_fit_are_not_kept(frame, monkeypatch) -> None:
    assert RowCache.holds(1 << 20, 256)
    assert not RowCache.holds((1 << 20) + 1, 256)
    monkeypatch.setenv("VAXSEQ_MEMORY", "16MB")
    assert RowCache.holds(1_000, 1_000)
    assert not RowCache.holds(1_001, 1_000)


def test_the_description_counts_what_is_kept(frame, monkeypatch) -> None:
    kept = sequence(frame).describe().memory_bytes
    in_order = vs.Sequence(frame, inputs=["a", "b"], targets="i", batch_size=16).describe().memory_bytes
    assert kept - in_order == ROWS * 12


def test_a_file_that_changes_is_told_though_its_rows_are_kept(tmp_path) -> None:
    vs.convert(pd.DataFrame({"i": np.arange(ROWS), "a": np.random.default_rng(0).random(ROWS)}), tmp_path / "d.arrow")
    train = vs.Sequence(tmp_path / "d.arrow", inputs=["a"], batch_size=16, shuffle="global")
    for _ in range(2):
        assert sum(len(batch[0]) for batch in train) == ROWS
    os.utime(tmp_path / "d.arrow", ns=(1, 1))
    with pytest.raises(DatasetError, match="was changed"):
        train.batch(0, 0)


def test_a_row_with_a_value_missing_is_told_each_time(frame) -> None:
    frame["a"] = frame.func.where(frame.i == 500, np.nan, frame.a)
    train = vs.Sequence(frame, inputs=["a"], batch_size=16, shuffle="global")
    for _ in range(3):
        with pytest.raises(MissingValueError, match="row ids 500"):
            list(train)
