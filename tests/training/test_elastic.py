"""A position of some ranks goes on with others. pytest -s prints the table: rows lost, doubled, steps, same steps."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import vaex

import vaxseq as vs

ROWS = 3_007
GLOBAL_ROWS = 120  # of a step, over all ranks


def ranks(count: int, shuffle: Any, batch_size: int) -> list[vs.Sequence]:
    frame = vaex.from_arrays(x=np.arange(float(ROWS)))
    options: dict[str, Any] = {"inputs": ["x"], "shuffle": shuffle, "seed": 3, "batch_size": batch_size}
    return [vs.Sequence(frame, shard=(rank, count), **options) for rank in range(count)]


def steps(sequences: list[vs.Sequence], most: int) -> list[list[int]]:
    """The rows with a weight of each step, over all ranks; ``most`` steps, or those that are left."""
    found: list[list[int]] = []
    for parts in zip(*(zip(range(most), one, strict=False) for one in sequences), strict=True):
        step: list[int] = []
        for _, (x, *rest) in parts:
            real = np.asarray(rest[1]) > 0 if rest else np.ones(len(x), bool)
            step += np.asarray(x)[real, 0].astype(int).tolist()
        found.append(step)
    return found


@pytest.mark.parametrize("shuffle", [False, "global", "block"])
@pytest.mark.parametrize(("before", "after"), [(2, 3), (3, 1), (4, 2), (1, 4), (5, 3)])
@pytest.mark.parametrize("keeps", [True, False])
def test_the_rest_of_an_epoch_is_each_row_once(shuffle: Any, before: int, after: int, keeps: bool) -> None:
    olds = ranks(before, shuffle, GLOBAL_ROWS // before)
    news = ranks(after, shuffle, GLOBAL_ROWS // after if keeps else 77)
    taken = steps(olds, 7)
    places = [json.dumps(one.position()) for one in olds]
    assert set(places) == {places[0]}  # any rank's will do
    for one in news:
        one.seek(json.loads(places[0]))
    assert len({len(one) for one in news}) == 1
    left = steps(news, ROWS)

    rows = [row for step in taken + left for row in step]
    lost, doubled = ROWS - len(set(rows)), len(rows) - len(set(rows))
    whole = steps(ranks(1, shuffle, GLOBAL_ROWS), ROWS)
    same = taken + left == whole
    print(f"| {before} to {after} | {shuffle!s:6} | {lost} | {doubled} | {len(left):3} | {same!s:5} |")
    assert (lost, doubled) == (0, 0)
    assert rows == [row for step in whole for row in step]  # the order of the epoch, whoever goes on with it
    assert same is keeps
    assert sorted(row for step in steps(news, ROWS) for row in step) == list(range(ROWS))  # the next epoch is whole
