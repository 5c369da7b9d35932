"""Rounds part a buffer's items: each takes from all over the buffer, and is small enough for a processor's cache."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vaxseq.plan.rounds import Round, rounds_of


def _rounds(lengths: np.ndarray, block_items: int, key: int, own: int) -> list[Round]:
    """Of blocks that have gaps between them."""
    return rounds_of(np.cumsum(lengths + 100_000), lengths, block_items, key, own)


def _served(rounds: list[Round], moves: str = "places") -> np.ndarray:
    """The buffer's places, or positions, in the order in which its rounds serve them."""
    out = np.empty(rounds[-1].stop, np.int64)
    for one in rounds:
        one.fill(out[one.start : one.stop], one.start, one.stop, getattr(one, moves))
    return out


def _lengths(n_blocks: int, block_items: int, short: int, lacking: int) -> np.ndarray:
    lengths = np.full(n_blocks, block_items)
    lengths[short % n_blocks] -= min(lacking, block_items - 1)
    return lengths


@given(st.integers(1, 70), st.integers(1, 9000), st.integers(0, 69), st.integers(0, 9000), st.integers(0, 2**64 - 1))
@example(31, 4096, 30, 1, 0)
@example(17, 4096, 3, 4095, 0)
def test_rounds_part_a_buffer_however_its_blocks_are_cut(n_blocks, block_items, short, lacking, key):
    lengths = _lengths(n_blocks, block_items, short, lacking)
    rounds = _rounds(lengths, block_items, key, key ^ 1)
    assert rounds[0].start == 0 and rounds[-1].stop == lengths.sum()
    assert all(one.stop == after.start for one, after in pairwise(rounds))
    served = _served(rounds)
    assert (np.bincount(served, minlength=lengths.sum()) == 1).all()
    held = np.concatenate(
        [np.arange(first, first + n) for first, n in zip(np.cumsum(lengths + 100_000), lengths, strict=True)]
    )
    assert (_served(rounds, "positions") == held[served]).all()


@given(st.integers(16, 40), st.integers(0, 39), st.integers(0, 32_767), st.integers(0, 2**64 - 1))
def test_a_round_takes_a_piece_of_each_stratum_of_a_buffer(n_blocks, short, lacking, own):
    lengths = _lengths(n_blocks, 32_768, short, lacking)
    rounds = _rounds(lengths, 32_768, 1, own)
    assert len(rounds) > 1
    strata = rounds[0].capacity // rounds[0].piece_items
    assert 31 <= strata <= 33
    served, width = _served(rounds), lengths.sum() / strata
    for one in rounds:
        assert (strata - 1) * one.piece_items - lacking <= one.stop - one.start <= one.capacity <= 33 * 1024
        assert len(one.places) in (strata - 1, strata)
        held = np.sort(served[one.start : one.stop])
        gaps = np.diff(held, prepend=0, append=lengths.sum())
        assert gaps.max() < 3 * width  # one short stratum at most lies between two pieces


def test_which_pieces_meet_differs_between_buffers_and_all_meet_equally_often():
    lengths, met, trials = np.full(16, 32_768), np.zeros((16, 16)), 1000
    for own in range(trials):
        for one in _rounds(lengths, 32_768, 1, own):
            pieces = one.places // 1024 + np.arange(32)
            first, second = (pieces[pieces // 32 == block] % 32 for block in (2, 9))
            assert len(first) == len(second) == 2  # of either half of a block one
            met[first.min(), second.max() - 16] += 1
    chi = float(((met - trials / 16) ** 2 / (trials / 16)).sum())
    assert abs(chi - 225) < 5 * np.sqrt(2 * 225)  # each piece comes once a trial: its margins are given


@pytest.mark.parametrize(
    ("n_blocks", "block_items", "n_rounds"),
    [(16, 512, 1), (31, 1056, 1), (31, 1057, 1), (1, 32_768, 1), (2, 32_768, 2), (16, 32_768, 16), (31, 32_768, 31)],
)
def test_a_small_buffer_is_one_round_and_none_has_few_items(n_blocks, block_items, n_rounds):
    assert len(_rounds(np.full(n_blocks, block_items), block_items, 1, 2)) == n_rounds
