"""The laws of a Sequence: every selected row once an epoch, the same bytes however it is asked, vaex's own values."""

from __future__ import annotations

import hashlib
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import augmentations
import numpy as np
import pyarrow as pa
import pytest
import vaex
from augmentations import fail, noise
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vaxseq import Window
from vaxseq.errors import AugmentError, MissingValueError, OptionError, PositionError, SelectionError
from vaxseq.training.sequence import Sequence


def make_frame(rows: int, seed: int = 0, pieces: int = 1):
    """Numbers, nulls, text and dates; virtual columns on virtual columns; one piece or several concatenated."""
    rng = np.random.default_rng(seed)
    parts = []
    for ids in np.array_split(np.arange(rows), pieces):
        n = len(ids)
        parts.append(
            vaex.from_arrays(
                row=ids,
                a=rng.normal(size=n),
                b=rng.integers(-5, 5, n).astype(np.int8),
                gappy=pa.array([None if value < 0.3 else value for value in rng.random(n)], pa.float64()),
                text=pa.array([["x", "yy", None][value] for value in rng.integers(0, 3, n)], pa.string()),
                day=np.datetime64("2020-01-01T05:00:00") + rng.integers(0, 9**8, n).astype("timedelta64[s]"),
            )
        )
    frame = parts[0] if len(parts) == 1 else vaex.concat(parts)
    frame["wave"] = frame.a * 2 + frame.b
    frame["deep"] = frame.wave**2 - frame.a
    frame["letters"] = "str_len(text)"  # text.str.len() makes all of vaex's functions first
    frame["month"] = "dt_month(day)"
    return frame


@st.composite
def cases(draw):
    rows = draw(st.integers(1, 400))
    frame = make_frame(rows, draw(st.integers(0, 5)), draw(st.sampled_from([1, 1, 3])) if rows > 6 else 1)
    kept = np.arange(rows)
    if rows > 10 and draw(st.booleans()):
        low, high = draw(st.integers(0, rows // 3)), draw(st.integers(rows // 2 + 1, rows))
        frame, kept = frame[low:high], kept[low:high]
    b = frame.evaluate("b")
    if draw(st.booleans()) and (b > -3).any():
        frame = frame[frame.b > -3]
        kept = kept[b > -3]
    options = {"seed": draw(st.integers(0, 3)), "batch_size": draw(st.integers(1, 70))}
    options["shuffle"] = draw(st.sampled_from([False, "global", "block"]))
    options["read_ahead"] = draw(st.sampled_from([0, 2]))
    if draw(st.booleans()):
        options["rows"] = rule = draw(st.sampled_from([slice(None, None, 2), slice(1, None), slice(0, 50)]))
        if not len(kept[rule]):
            options.pop("rows")
        else:
            kept = kept[rule]
    return frame, kept, options


def sequence(frame, **options) -> Sequence:
    return Sequence(frame, inputs=["row", "a", "b", "wave", "deep", "month"], targets="b", **options)


def read(data, epoch: int, i: int) -> list:
    return [np.asarray(part) for part in data.batch(epoch, i)]


def rows_of(batch) -> list:
    return np.asarray(batch[0])[:, 0].astype(int).tolist()


@settings(max_examples=60)
@given(cases())
def test_an_epoch_is_the_selected_rows_each_once_with_vaexs_own_values(case):
    frame, kept, options = case
    data = sequence(frame, **options)
    names = ["row", "a", "b", "wave", "deep", "month"]
    row = frame.evaluate("row")
    own = dict(zip(row.tolist(), zip(*(frame.evaluate(name).tolist() for name in names), strict=True), strict=True))
    orders = []
    for epoch in range(2):
        batches = [read(data, epoch, i) for i in range(len(data))]
        rows = [one for batch in batches for one in rows_of(batch)]
        assert sorted(rows) == sorted(kept.tolist())
        expected = np.array([own[one] for one in rows], np.float64).astype(np.float32)
        assert np.array_equal(np.concatenate([batch[0] for batch in batches]), expected)
        if not options["shuffle"]:
            assert rows == kept.tolist()
        orders.append(rows)
    if options["shuffle"] and len(kept) > 10:
        assert orders[0] != orders[1]


@settings(max_examples=40)
@given(cases(), st.integers(0, 5), st.randoms(use_true_random=False))
def test_a_batch_is_the_same_bytes_from_any_order_and_thread(case, epoch, rng):
    frame, _, options = case
    data, other = sequence(frame, **options), sequence(frame, **options)
    expected = [[part.tobytes() for part in read(data, epoch, i)] for i in range(len(data))]
    places = list(range(len(data))) * 2
    rng.shuffle(places)
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda i: [part.tobytes() for part in read(other, epoch, i)], places))
    assert found == [expected[i] for i in places]


@st.composite
def selections(draw):
    """A frame, options that select of its rows, and the row ids that are to be served."""
    rows = draw(st.integers(1, 300))
    frame = make_frame(rows)
    kept, b, a = np.arange(rows), frame.evaluate("b"), frame.evaluate("a")
    options = {"shuffle": draw(st.sampled_from([False, "global", "block"])), "pad": draw(st.booleans())}
    if draw(st.booleans()):
        frame = frame[frame.b > -3]
        kept = kept[b > -3]
    if draw(st.booleans()):
        options["where"] = "a < 0.5"
        kept = kept[a[kept] < 0.5]
    if draw(st.booleans()):
        options["rows"] = rule = draw(st.sampled_from([slice(None, None, 3), slice(5, 200)]))
        kept = kept[rule]
    assume(len(kept))
    if draw(st.booleans()):
        options["window"] = Window(1, stride=draw(st.integers(1, 3)))
        if options["window"].stride > 1:
            options.pop("rows", None)
            served = Sequence(frame, inputs=["row"], **options)
            kept = np.concatenate([served.row_ids(i) for i in range(len(served))])
    return frame, options, kept.tolist()


@settings(max_examples=100)
@given(
    selections(),
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 40), st.integers(0, 6)), min_size=1, max_size=4),
)
def test_ranks_and_resumes_on_other_ranks_see_each_selected_row_once(selected, phases):
    frame, options, kept = selected
    seen: list[int] = []
    position = None
    for ranks, batch_size, steps in [*phases, (2, 7, 10**6)]:
        shards = [
            Sequence(frame, inputs=["row"], seed=1, batch_size=batch_size, shard=(i, ranks), **options)
            for i in range(ranks)
        ]
        if position is not None:
            for shard in shards:
                shard.seek(position)
        if shards[0].position()["epoch"] > 0:
            break
        count = shards[0].num_batches
        assert {shard.num_batches for shard in shards} == {count}
        for i in range(min(steps, count)):
            for shard in shards:
                batch = shard[i]
                weight = np.asarray(batch[2]) if len(batch) == 3 else np.ones(len(batch[0]))
                real = np.asarray(batch[0]).reshape(len(weight), -1)[:, -1][weight > 0].astype(int).tolist()
                assert shard.row_ids(i).tolist() == real
                seen += real
        assert len({str(shard.position()) for shard in shards}) == 1
        position = json.loads(json.dumps(shards[0].position()))
    assert sorted(seen) == sorted(kept)


@settings(max_examples=60)
@given(cases(), st.data())
def test_a_pass_after_seek_is_the_rest_and_the_next_one_is_whole(case, choose):
    frame, _, options = case
    data = sequence(frame, **options)
    batches = len(data)
    stop = choose.draw(st.integers(0, batches))
    for i in range(stop):
        data[i]
    place = data.position()
    again = sequence(frame, **options)
    again.seek(place)
    epoch = place["epoch"]
    assert epoch == (stop == batches)
    rest = [rows_of(batch) for batch in again]
    assert rest == [rows_of(data.batch(epoch, i)) for i in range(stop % batches, batches)]
    assert again.position()["epoch"] == epoch + 1
    assert [rows_of(batch) for batch in again] == [rows_of(data.batch(epoch + 1, i)) for i in range(batches)]


def fingerprints() -> list[str]:
    """Of an augmented epoch's bytes, in each order."""
    found = []
    for shuffle in (False, "global", "block"):
        data = sequence(make_frame(300, 1, 3), batch_size=32, shuffle=shuffle, seed=2, augment=noise)
        parts = [part.tobytes() for i in range(len(data)) for part in read(data, 4, i)]
        found.append(hashlib.sha256(b"".join(parts)).hexdigest())
    return found


@pytest.mark.slow
def test_another_process_makes_the_same_bytes(keras_python):
    folders = [str(Path(file).parent) for file in (__file__, augmentations.__file__)]
    script = "import sys; sys.path[:0] = sys.argv[1:]; import test_sequence as t; print(hash('a'), *t.fingerprints())"
    seed, *found = keras_python.run(["-c", script, *folders], check=True).stdout.split()
    assert int(seed) != hash("a"), "the order of sets and dicts is the same in both processes"
    assert found == fingerprints()
    assert len(set(found)) == 3


def test_a_thousand_million_rows_in_a_global_shuffle_cost_nothing():
    from vaxseq.profile.meters import memory_bytes

    frame = vaex.from_arrays(x=vaex.vrange(0, 10**9, dtype="f8"))
    before, begun = memory_bytes(), time.thread_time()
    data = Sequence(frame, inputs=["x"], shuffle="global", read_ahead=0)
    assert time.thread_time() - begun < 1
    rows = data.row_ids(7, epoch=3)
    assert memory_bytes() - before < 50_000_000
    assert len(data) == 976_563 and rows.max() > 9e8
    assert np.array_equal(np.asarray(data.batch(3, 7)[0])[:, 0], rows.astype(np.float32))


def test_missing_values_are_refused_by_name_or_dropped():
    frame = make_frame(100)
    with pytest.raises(MissingValueError, match=r"input 'inputs', 'gappy': missing in \d+ of 10 rows"):
        Sequence(frame, inputs=["gappy"], targets="b", batch_size=10).batch(0, 0)
    with pytest.raises(MissingValueError, match=r"target 'gappy'.*on_missing=\"drop\""):
        Sequence(frame, inputs=["a"], targets="gappy", batch_size=10).batch(0, 0)
    data = Sequence(frame, inputs=["row"], targets="gappy", batch_size=10, on_missing="drop")
    rows = [row for i in range(len(data)) for row in rows_of(data.batch(0, i))]
    present = [i for i, value in enumerate(frame.evaluate("gappy").tolist()) if value is not None]
    assert rows == present


@pytest.mark.filterwarnings(
    "ignore:os.fork", "ignore:Exception ignored in.*_at_fork:pytest.PytestUnraisableExceptionWarning"
)
def test_a_fork_is_noticed():
    data = sequence(make_frame(2000), batch_size=10)
    data.batch(0, 0)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            data.batch(0, 1)
        except OptionError as error:
            code = 7 if "spawn" in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_class_weights_multiply_the_rows_own():
    frame = vaex.from_arrays(x=np.arange(6.0), y=np.array([0, 1, 2, 0, 1, 2]), w=np.arange(6.0))
    data = Sequence(frame, inputs=["x"], targets="y", sample_weight="w", batch_size=6, class_weight={0: 10, 2: 0.5})
    assert np.asarray(data.batch(0, 0)[2]).tolist() == [0, 1, 1, 30, 4, 2.5]


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_augmentation_repeats_and_names_the_batch_that_fails(workers):
    frame = make_frame(100)
    data = sequence(frame, batch_size=16, shuffle="global", augment=noise, augment_workers=workers)
    plain = sequence(frame, batch_size=16, shuffle="global")
    alone = sequence(frame, batch_size=16, shuffle="global", augment=noise, read_ahead=0)
    for epoch in range(2):
        for i in range(len(data)):
            one, two, bare = read(data, epoch, i), read(alone, epoch, i), read(plain, epoch, i)
            assert np.array_equal(one[0], two[0])
            assert rows_of(one) == rows_of(bare)
            assert not np.array_equal(one[0], bare[0])
    assert not np.array_equal(read(data, 0, 0)[0], read(data, 1, 0)[0])
    broken = sequence(frame, batch_size=16, augment=fail, augment_workers=workers)
    with pytest.raises(
        AugmentError, match=r"batch 0 of epoch 0 failed: ZeroDivisionError: no way; its 16 row ids: 0, 1"
    ):
        broken.batch(0, 0)
    assert rows_of(broken.batch(0, 3))[0] == 48


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda batch, rng: None, "returned NoneType, expected the batch, a tuple of 2"),
        (lambda batch, rng: batch[:1], "a tuple of 1, expected"),
        (lambda batch, rng: (batch[0][:3], batch[1]), "expected 10 rows"),
    ],
)
def test_what_an_augmentation_returns_is_checked(function, message):
    with pytest.raises(AugmentError, match=message):
        sequence(make_frame(10), batch_size=10, augment=function).batch(0, 0)


def test_a_resumed_epoch_is_augmented_as_if_it_had_not_been_broken_off():
    frame = make_frame(100)
    data, again = (sequence(frame, batch_size=16, shuffle="global", augment=noise) for _ in range(2))
    for i in range(3):
        data[i]
    again.seek(data.position())
    for i, batch in enumerate(again):
        for one, two in zip(batch, data.batch(0, 3 + i), strict=True):
            assert np.array_equal(np.asarray(one), np.asarray(two))


@settings(max_examples=30)
@given(st.integers(20, 300), st.sampled_from([False, "global", "block"]), st.integers(1, 3))
def test_balance_gives_classes_their_shares_exactly(rows, shuffle, ranks):
    frame = vaex.from_arrays(row=np.arange(rows), y=(np.arange(rows) % 7 == 0).astype(int))
    seen = []
    for i in range(ranks):
        data = Sequence(
            frame, inputs=["row"], targets="y", batch_size=8, shuffle=shuffle, balance={0: 3, 1: 1}, shard=(i, ranks)
        )
        for at in range(len(data)):
            ids = data.row_ids(at, epoch=2)
            batch = read(data, 2, at)
            assert rows_of(batch)[: len(ids)] == ids.tolist()
            seen += ids.tolist()
    assert len(seen) == data.num_rows == rows
    drawn = np.bincount(np.array(seen) % 7 == 0)
    assert abs(drawn[1] - rows / 4) < 1
    assert "draws an epoch" in repr(data)


def test_weighted_sampling_draws_in_proportion():
    frame = vaex.from_arrays(row=np.arange(100), y=np.zeros(100), w=np.r_[np.zeros(50), np.ones(40), np.full(10, 6.0)])
    data = Sequence(frame, inputs=["row"], targets="y", batch_size=10, balance="w")
    drawn = np.bincount([row for i in range(len(data)) for row in rows_of(data.batch(0, i))], minlength=100)
    assert drawn.sum() == 50
    assert drawn[:50].sum() == 0
    assert set(drawn[50:90]) <= {0, 1}
    assert set(drawn[90:]) == {3}
    with pytest.raises(OptionError, match="several times"):
        data.attach(np.zeros(50), "p")
    with pytest.raises(OptionError, match=r"no column 'v'"):
        Sequence(frame, inputs=["row"], targets="y", balance="v")


def test_balance_wants_every_class():
    frame = vaex.from_arrays(x=np.arange(9.0), y=np.arange(9) % 3)
    with pytest.raises(OptionError, match="class 2 has no share"):
        Sequence(frame, inputs=["x"], targets="y", balance={0: 1, 1: 1})
    with pytest.raises(SelectionError, match="no items to draw"):
        Sequence(frame, inputs=["x"], targets="y", balance={0: 1, 1: 1, 2: 1, 3: 1})
    with pytest.raises(OptionError, match="one target"):
        Sequence(frame, inputs=["x"], balance={0: 1})


SERVED = {
    "matrix": {"inputs": ["row", "a"], "targets": "b"},
    "padded, so weighted": {"inputs": ["row"], "targets": "b", "pad": True},
    "dicts and a weight": {
        "inputs": {"m": ["row", "wave"], "n": ["month"]},
        "targets": {"one": "b", "two": ["a", "deep"]},
        "sample_weight": "w",
    },
    "windows with a mask": {
        "inputs": ["row", "a"],
        "targets": "a",
        "window": Window(8, group_by="b", min_valid=0.3, horizon=1),
    },
    "no targets": {"inputs": {"m": ["row"], "n": ["a"]}},
    "one rank of two": {"inputs": ["row"], "targets": "b", "shard": (1, 2)},
}


@pytest.mark.backend
@pytest.mark.slow
@pytest.mark.parametrize("name", SERVED)
def test_exits_give_the_same_batches_in_the_same_order(name):
    torch, tf = pytest.importorskip("torch"), pytest.importorskip("tensorflow")
    frame = make_frame(101).sort("b")
    frame["w"] = frame.a**2
    options = {"batch_size": 16, "shuffle": "global", **SERVED[name]}
    plain, loader, dataset = (Sequence(frame, **options) for _ in range(3))
    batches, tensors = loader.to_torch(), dataset.to_tf()
    assert len(batches) == int(tensors.cardinality()) == len(plain)
    orders = []
    for epoch in range(2):
        for i, (one, two, three) in enumerate(zip(plain, batches, tensors, strict=True)):
            for a, b, c, d in zip(*map(leaves, (plain.batch(epoch, i), one, two, three)), strict=True):
                assert isinstance(c, torch.Tensor) and isinstance(d, tf.Tensor)
                assert a.dtype == b.dtype and c.numpy().dtype == d.numpy().dtype == np.asarray(a).dtype
                assert all(np.array_equal(np.asarray(a), np.asarray(other)) for other in (b, c.numpy(), d.numpy()))
        orders.append([plain.row_ids(i, epoch).tolist() for i in range(len(plain))])
    assert orders[0] != orders[1]
    assert plain.position() == loader.position() == dataset.position()
    assert plain.position()["epoch"] == 2


@pytest.mark.backend
def test_a_tf_dataset_s_batches_enter_many_at_once_and_come_out_one_by_one():
    tf = pytest.importorskip("tensorflow")
    frame = make_frame(1_001)
    options = {"inputs": {"wide": ["a", "row"], "row": "row"}, "targets": "b", "batch_size": 16, "pad": False}
    plain, source = Sequence(frame, **options), Sequence(frame, **options)
    dataset = source.to_tf()
    assert dataset.element_spec[0]["wide"] == tf.TensorSpec((None, 2), tf.float32)
    # a strategy over several workers doesn't share out again what shard= has shared out
    assert dataset.options().experimental_distribute.auto_shard_policy == tf.data.experimental.AutoShardPolicy.OFF
    for _ in dataset.take(2):  # a walk is an epoch, however short
        pass
    assert source.epoch == 0
    came = list(dataset)
    assert [len(batch[1]) for batch in came] == 62 * [16] + [9]
    for i, batch in enumerate(came):
        expected = plain.batch(0, i)
        for a, b in zip(leaves(expected), leaves(batch), strict=True):
            assert np.array_equal(np.asarray(a), b.numpy())
    assert source.position()["epoch"] == 2


def leaves(batch) -> list:
    """The arrays of a batch, each with its place."""
    found = []
    for part in batch:
        found += [part[key] for key in sorted(part)] if isinstance(part, dict) else [part]
    return found


@pytest.mark.slow
def test_weights_without_targets_have_no_form_in_tf_data():
    pytest.importorskip("tensorflow")
    with pytest.raises(OptionError, match="weights but no targets"):
        Sequence(make_frame(10), inputs=["a"], sample_weight="row").to_tf()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:os.fork", "ignore:This process", "ignore:Exception ignored in.*_at_fork")
@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_a_data_loader_s_workers_are_refused(context):
    torch = pytest.importorskip("torch")
    data = sequence(make_frame(100), batch_size=16).to_torch().dataset
    workers = torch.utils.data.DataLoader(data, batch_size=None, num_workers=2, multiprocessing_context=context)
    with pytest.raises(OptionError, match="each worker of a DataLoader would give all batches"):
        next(iter(workers))


def test_positions_of_another_order_are_refused():
    frame = make_frame(50)
    place = sequence(frame, shuffle="global", seed=1).position()
    with pytest.raises(PositionError, match="other seed"):
        sequence(frame, shuffle="global", seed=2).seek(place)
    with pytest.raises(PositionError, match="other items"):
        sequence(frame, shuffle="global", seed=1, rows=slice(5)).seek(place)
    with pytest.raises(PositionError, match="other order"):
        sequence(frame, shuffle="block", seed=1).seek(place)
    with pytest.raises(PositionError, match="version"):
        sequence(frame).seek({})
