"""What begins an epoch, for each way to read a Sequence outside of Keras."""

from __future__ import annotations

import copy
import pickle
import threading

import numpy as np
import pytest
import vaex

from vaxseq import Sequence
from vaxseq.errors import OptionError, PositionError

BATCHES = 5


def sequence(**options) -> Sequence:
    frame = vaex.from_arrays(row=np.arange(40.0))
    return Sequence(frame, **{"inputs": ["row"], "batch_size": 8, "shuffle": "global", **options})


def rows(batch) -> list[int]:
    return np.asarray(batch[0])[:, 0].astype(int).tolist()


def order(epoch: int, first: int = 0, stop: int = BATCHES) -> list[list[int]]:
    data = sequence()
    return [rows(data.batch(epoch, i)) for i in range(first, stop)]


def by_index(data: Sequence) -> list[list[int]]:
    return [rows(data[i]) for i in range(len(data))]


def test_a_whole_loop_by_index_is_an_epoch():
    data = sequence()
    for epoch in range(3):
        assert by_index(data) == order(epoch)
        assert data.epoch == epoch
        assert data.row_ids(BATCHES - 1).tolist() == order(epoch)[-1]


def test_batch_0_again_begins_the_next_epoch():
    data = sequence()
    for epoch in range(3):
        assert [rows(data[i]) for i in (0, 1)] == order(epoch)[:2]
    assert rows(data[3]) == order(2)[3]
    assert rows(data[3]) == order(2)[3]


def test_any_order_of_reading_each_batch_once_is_an_epoch():
    data = sequence()
    for epoch in range(3):
        for i in np.random.default_rng(epoch).permutation(BATCHES).tolist():
            assert rows(data[i]) == order(epoch)[i]


def test_on_epoch_end_ends_an_epoch_that_was_read_from():
    data = sequence()
    data.on_epoch_end()
    assert data.epoch == 0
    data[0]
    for _ in range(2):
        data.on_epoch_end()
        assert data.epoch == 1
    assert rows(data[1]) == order(1)[1]


def test_each_iterator_is_an_epoch_however_far_it_is_read():
    data = sequence()
    one, two = iter(data), iter(data)
    assert [rows(next(two)), rows(next(one)), rows(next(two))] == [order(1)[0], order(0)[0], order(1)[1]]
    assert [rows(batch) for batch in data] == order(2)
    assert [rows(batch) for batch in one] == order(0)[1:]
    assert by_index(data) == order(3)


def test_a_look_by_index_leaves_the_epoch_to_the_iterator_after_it():
    data = sequence()
    data[0]
    data[3]
    assert [rows(batch) for batch in data] == order(0)
    assert rows(data[0]) == order(1)[0]


def test_the_epoch_can_be_set():
    data = sequence()
    data.epoch = np.int64(3)
    assert (data.epoch, rows(data[1]), data.epoch) == (3, order(3)[1], 3)
    data.epoch = 7
    assert [rows(batch) for batch in data] == order(7)
    assert [rows(batch) for batch in data] == order(8)
    for wrong in (-1, 1.5, True, "2"):
        with pytest.raises(OptionError, match="epoch: got"):
            data.epoch = wrong


def test_threads_read_an_epoch_each():
    data, found = sequence(), {}

    def read(number: int) -> None:
        found[number] = [rows(batch) for batch in data]

    threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found.values()) == sorted(order(epoch) for epoch in range(4))


def test_the_rest_of_an_epoch_comes_once():
    done, data = sequence(), sequence()
    for i in range(2):
        done[i]
    data.seek(done.position())
    assert (len(data), data.epoch) == (3, 0)
    assert by_index(data) == order(0, 2)
    assert len(data) == BATCHES
    assert [rows(batch) for batch in data] == order(1)
    data.seek(done.position())
    data[0]
    assert [rows(batch) for batch in data] == order(0, 2)
    data.seek(done.position())
    data.epoch = 0
    assert [rows(batch) for batch in data] == order(0)


@pytest.mark.parametrize("copied", [lambda one: pickle.loads(pickle.dumps(one)), copy.deepcopy])
@pytest.mark.parametrize("read", [0, 2, 5])
@pytest.mark.parametrize("sought", [False, True])
@pytest.mark.parametrize("by", ["index", "iterator"])
def test_a_copy_is_at_the_same_place(copied, read, sought, by):
    data = sequence()
    if sought:
        done = sequence()
        done[0], done[1]
        data.seek(done.position())
    left = len(data)
    batches = iter(data) if by == "iterator" and read else None
    for i in range(min(read, left)):
        next(batches) if batches else data[i]
    other = copied(data)
    assert (len(other), other.epoch, other.position()) == (len(data), data.epoch, data.position())
    if by == "index":
        assert by_index(other) == by_index(data)


def test_a_copy_that_read_out_of_order_knows_what_it_read():
    data = sequence()
    for i in (3, 1):
        data[i]
    other = copy.deepcopy(data)
    for i in (0, 2, 4):
        assert rows(other[i]) == order(0)[i]
    assert rows(other[3]) == order(1)[3]


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"where": "row >= 20", "rows": None}, "other where, rows or on_missing"),
        ({"inputs": ["row", "row"]}, "other features"),
        ({"frame": 40 - np.arange(40.0)}, "other data"),
        ({"frame": np.r_[np.arange(39.0), 40]}, "other data"),
        ({"frame": np.r_[np.arange(39.0), 40], "inputs": ["row", "row"]}, "other data, other features"),
    ],
)
def test_a_position_over_something_else_is_refused(made, message):
    values = made.pop("frame", np.arange(40.0))
    ours = {"where": "row < 20"} if "where" in made else {}
    place = sequence(**ours).position()
    other = Sequence(vaex.from_arrays(row=values), **{"inputs": ["row"], "batch_size": 8, "shuffle": "global", **made})
    with pytest.raises(PositionError, match=f"saved with {message};"):
        other.seek(place)


def test_a_position_moves_to_a_copy_of_the_files_and_to_another_batch_size(tmp_path):
    frame = vaex.from_arrays(row=np.arange(200_000.0), word=np.array(["a", "b"] * 100_000))
    for name in ("one", "two"):
        frame.export_hdf5(str(tmp_path / f"{name}.hdf5"))
    one, two = (
        Sequence(str(tmp_path / f"{name}.hdf5"), inputs=["row"], where="word == 'a'", batch_size=size, shuffle="global")
        for name, size in (("one", 1000), ("two", 500))
    )
    for i in range(3):
        one[i]
    two.seek(one.position())
    assert len(two) == 200 - 6
    changed = vaex.from_arrays(row=np.arange(200_000.0) + 1, word=np.array(["a", "b"] * 100_000))
    with pytest.raises(PositionError, match="other data"):
        Sequence(changed, inputs=["row"], where="word == 'a'", batch_size=1000, shuffle="global").seek(one.position())


def test_a_slice_is_refused_by_what_to_call():
    with pytest.raises(OptionError, match=r"batch\(epoch, i\)"):
        sequence()[0:2]
    with pytest.raises(IndexError, match="expected 0 to 4"):
        sequence()[5]
    assert rows(sequence()[np.int64(-1)]) == order(0)[4]
