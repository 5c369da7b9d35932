"""Which epoch a pass is, told from what is read, by whom, and while Keras does what."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import vaex

from vaxseq import Sequence
from vaxseq.training.latch import EpochLatch, reader


def read(latch: EpochLatch, count: int, of: int, who: int | None = None, start: int = 0) -> list[tuple[int, int]]:
    return [tuple(latch.read(of, index, who)) for index in range(start, start + count)]


@pytest.mark.parametrize(("looked_at", "epoch"), [(0, 0), (1, 0), (2, 0), (3, 1), (5, 1)])
def test_up_to_two_reads_of_more_are_a_look(looked_at, epoch):
    latch = EpochLatch()
    read(latch, looked_at, 5)
    latch.arm(5)
    assert read(latch, 5, 5) == [(epoch, number) for number in range(5)]


def test_a_look_that_is_announced_is_one_however_much_it_reads():
    latch = EpochLatch()
    latch.looking(True)
    latch.arm(5, 1)
    read(latch, 5, 5, 1)
    latch.looking(False)
    assert latch.arm(5, 2) == 0
    assert read(latch, 5, 5, 2)[0] == (0, 0)
    latch.arm(5, looks=True)
    assert read(latch, 2, 2)[0] == (1, 0)
    latch.arm(5, 3)
    assert read(latch, 1, 5, 3)[0] == (1, 0)


def test_a_pass_that_is_read_on_for_nobody_disturbs_none():
    latch = EpochLatch()
    for who in (1, 2, 3):
        latch.arm(5, who)
        first = read(latch, 3, 5, who)
        assert first == [(who - 1, number) for number in range(3)]
        if who > 1:
            assert read(latch, 1, 5, who - 1, start=3) == [(who - 2, 3)]
        assert (latch.epoch, latch.reads, latch.in_turn) == (who - 1, 3, True)


def test_a_pass_that_begins_anew_takes_the_epoch_that_is_due():
    latch = EpochLatch()
    latch.arm(5, 1)
    read(latch, 4, 5, 1)
    latch.begin(7)
    assert latch.epoch == 7
    assert read(latch, 1, 5, 1, start=4) == [(0, 4)]  # the old one still
    assert latch.arm(5, 2) == 7
    assert read(latch, 1, 5, 2) == [(7, 0)]


def test_two_passes_side_by_side_are_two_epochs():
    data = Sequence(vaex.from_arrays(row=np.arange(40.0)), inputs=["row"], batch_size=8, shuffle="global")
    one, two = iter(data), iter(data)
    found = [[next(one) for _ in range(3)], [next(two)]]
    found[0] += one
    found[1] += two
    rows = [[np.asarray(batch[0])[:, 0].tolist() for batch in batches] for batches in found]
    assert rows == [[data.row_ids(i, epoch).tolist() for i in range(5)] for epoch in (0, 1)]


def test_keras_s_generator_of_a_pass_is_known():
    class Asked(keras.utils.PyDataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return reader(), reader()

    one, two = iter(Asked()), iter(Asked())
    numbers = [next(one)[0], next(two)[1], next(one)[1]]
    assert numbers[0] == numbers[2] != numbers[1]
    assert None not in numbers
    assert Asked()[0] == (None, None)
