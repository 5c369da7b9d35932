"""Batches in turn, out of turn, from threads: the same bytes, in memory that nobody else holds."""

from __future__ import annotations

import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import vaex

from vaxseq.errors import MissingValueError
from vaxseq.frame.buffers import BufferPool
from vaxseq.training.sequence import Sequence

ROWS, BATCH = 20_000, 64


@pytest.fixture
def frame() -> Any:
    rng = np.random.default_rng(0)
    return vaex.from_arrays(a=rng.random(ROWS, np.float32), b=rng.random(ROWS, np.float32), keep=rng.random(ROWS) < 0.6)


def make(frame: Any, **options: Any) -> Sequence:
    return Sequence(frame, inputs=["a", "b"], batch_size=BATCH, **options)


@pytest.mark.parametrize("shuffle", [False, "global", "block"])
@pytest.mark.parametrize("where", [None, "keep"])
def test_turn_and_threads_change_nothing(frame: Any, shuffle: Any, where: str | None) -> None:
    alone = make(frame, shuffle=shuffle, where=where, read_ahead=0)
    wanted = {
        (epoch, number): np.array(alone.batch(epoch, number)[0])
        for epoch in (1, 0)
        for number in np.random.default_rng(1).permutation(len(alone)).tolist()
    }
    ahead = make(frame, shuffle=shuffle, where=where)
    in_turn = [(epoch, number) for epoch in (0, 1) for number in range(len(ahead))]
    held = {key: ahead.batch(*key)[0] for key in in_turn}  # held all at once, so no two may share memory
    for key in in_turn:
        np.testing.assert_array_equal(held[key], wanted[key])
    shared = make(frame, shuffle=shuffle, where=where)
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda key: np.array(shared.batch(*key)[0]), in_turn))
    for key, batch in zip(in_turn, got, strict=True):
        np.testing.assert_array_equal(batch, wanted[key])


def test_a_batch_that_is_changed_changes_no_other(frame: Any) -> None:
    sequence = make(frame)
    first = [np.array(sequence.batch(0, number)[0]) for number in range(len(sequence))]
    for number in range(len(sequence)):
        sequence.batch(1, number)[0][...] = -1
    for number, wanted in enumerate(first):
        np.testing.assert_array_equal(sequence.batch(2, number)[0], wanted)


def test_memory_is_used_again_only_when_nobody_holds_it() -> None:
    recycler = BufferPool(lambda rows: [np.empty((rows, 2))], 100, 2)
    first = recycler.arrays(50)[0]
    kept = first[10:20]
    second = recycler.arrays(100)[0]
    assert not np.shares_memory(first, second)
    address = first.__array_interface__["data"][0]
    del first
    assert recycler.arrays(100)[0].__array_interface__["data"][0] != address  # a part of it is still held
    del kept
    assert recycler.arrays(30)[0].__array_interface__["data"][0] == address


def test_an_error_ahead_is_raised_at_its_batch(frame: Any) -> None:
    frame = frame.copy()
    values = frame["a"].values.copy()
    values[ROWS // 2] = np.nan
    frame["a"] = values
    sequence = make(frame)
    at = ROWS // 2 // BATCH
    for number in range(3):
        sequence.batch(0, number)
    with pytest.raises(MissingValueError, match="row ids 10000"):
        sequence.batch(0, at)
    sequence.batch(0, at + 1)


def test_threads_end_with_the_object(frame: Any) -> None:
    def ours() -> set[threading.Thread]:
        return {thread for thread in threading.enumerate() if thread.name.startswith("vaxseq-read-ahead")}

    before = ours()
    sequence = make(frame)
    for number in range(len(sequence)):
        sequence.batch(0, number)
    mine = ours() - before
    assert mine
    del sequence
    gc.collect()
    deadline = time.monotonic() + 60
    while mine & ours() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not mine & ours()
