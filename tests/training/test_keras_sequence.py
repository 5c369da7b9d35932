"""Sequence inside Keras: epochs, peeks, orders, refusals, resumes; run on each backend in a process of its own."""

from __future__ import annotations

import gc
import json
import logging
import pickle
import threading
import time
import warnings

import keras
import numpy as np
import pytest
import vaex

import vaxseq as vs
from vaxseq.errors import OptionError, PositionError, SelectionError
from vaxseq.training.sequence import Sequence

pytestmark = pytest.mark.backend
ROWS = 40


def frame(rows: int = ROWS):
    rng = np.random.default_rng(0)
    return vaex.from_arrays(row=np.arange(rows), a=rng.normal(size=rows), y=rng.normal(size=rows))


class Watched(Sequence):
    """Notes (epoch, row ids) of each batch that is read."""

    def __init__(self, *args, **options):
        self.log = []
        super().__init__(*args, **options)

    def __getitem__(self, index):
        batch = super().__getitem__(index)
        self.log.append((self.epoch, np.asarray(batch[0])[:, 0].astype(int).tolist()))
        return batch


def watched(rows: int = ROWS, **options) -> Watched:
    return Watched(frame(rows), **{"inputs": ["row"], "targets": "y", "batch_size": 8, "shuffle": "global", **options})


class Steps(keras.callbacks.Callback):
    """Which epochs Keras trained, and how many batches of each."""

    def __init__(self):
        super().__init__()
        self.steps = []

    def on_epoch_begin(self, epoch, logs=None):
        self.steps.append(0)

    def on_train_batch_end(self, batch, logs=None):
        self.steps[-1] += 1


def model(built: bool, **options) -> keras.Model:
    layers = [keras.layers.Rescaling(1 / ROWS), keras.layers.Dense(1)]
    made = keras.Sequential([keras.Input((1,)), *layers] if built else layers)
    made.compile("sgd", "mse", **options)
    return made


def epochs_of(log):
    """Row ids by epoch, of the last reads of each epoch: a peek comes before."""
    found = {}
    for epoch, rows in log:
        found.setdefault(epoch, []).append(rows)
    return found


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("built", [True, False])
@pytest.mark.parametrize("batches", [1, 2, 5])
def test_fit_reads_epoch_after_epoch_whatever_it_peeks_at(built, shuffle, batches):
    data, validation = watched(8 * batches), watched(24, shuffle=False)
    network = model(built)
    network.fit(data, epochs=2, validation_data=validation, shuffle=shuffle, verbose=0)
    network.fit(data, epochs=1, shuffle=shuffle, verbose=0)
    passes = epochs_of(data.log)
    assert list(passes) == [0, 1, 2]
    for epoch, read in passes.items():
        rows = sorted(row for batch in read[-batches:] for row in batch)
        assert rows == list(range(8 * batches))
        expected = [data.row_ids(i, epoch=epoch).tolist() for i in range(batches)]
        assert sorted(read[-batches:]) == sorted(expected)
        if not shuffle:
            assert read[-batches:] == expected
    assert len({str(read[-batches:]) for read in passes.values()}) == 3


def test_a_stopped_fit_is_followed_by_the_next_epoch():
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 3

    data = watched()
    network = model(True)
    network.fit(data, epochs=3, callbacks=[Stop()], shuffle=False, verbose=0)
    network.fit(data, epochs=1, shuffle=False, verbose=0)
    passes = epochs_of(data.log)
    assert sorted(row for batch in passes[1][-5:] for row in batch) == list(range(ROWS))


def test_steps_per_epoch_keeps_one_pass_across_keras_epochs():
    data = watched(80)
    model(True).fit(data, epochs=5, steps_per_epoch=2, shuffle=False, verbose=0)
    first = epochs_of(data.log)[0][-10:]
    assert sorted(row for batch in first for row in batch) == list(range(80))


def test_evaluate_and_predict_see_each_row_once_and_predictions_join_back():
    data = Sequence(frame(), inputs=["row"], targets="y", batch_size=7, shuffle="global")
    network = model(True)
    network.evaluate(data, verbose=0)
    predictions = network.predict(data, verbose=0)
    joined = data.attach(predictions, "score")
    expected = network.predict(np.arange(ROWS, dtype=np.float32)[:, None], verbose=0)[:, 0]
    assert np.allclose(joined.evaluate("score").astype(float), expected)


def test_workers_and_empty_epochs_are_refused():
    with pytest.raises(OptionError, match="stale and repeated batches"):
        watched(workers=2)
    with pytest.raises(OptionError, match="stale and repeated batches"):
        watched(use_multiprocessing=True)
    data = watched()
    with pytest.raises(OptionError, match="read_ahead"):
        data.workers = 4
    with pytest.raises(OptionError, match="read_ahead"):
        data.use_multiprocessing = True
    with pytest.raises(SelectionError, match="don't fill one step"):
        watched(3, drop_remainder=True)
    with pytest.raises(SelectionError, match="leaves none"):
        watched(where="row > 1000")
    assert not hasattr(data, "__array__")


def test_batches_are_fresh_contiguous_and_the_backends_own():
    data = Sequence(frame(), inputs={"m": ["row", "a"], "a": ["a"]}, targets="y", batch_size=16, pad=True)
    one, two = data.batch(0, 0), data.batch(0, 0)
    for batch in (one, two):
        x, y, weight = batch
        for array, shape in ((x["m"], (16, 2)), (x["a"], (16, 1)), (y, (16,)), (weight, (16,))):
            assert tuple(array.shape) == shape
            if keras.backend.backend() == "torch":
                import torch

                assert isinstance(array, torch.Tensor) and array.is_contiguous()
            else:
                assert isinstance(array, np.ndarray) and array.flags.c_contiguous and array.flags.writeable
                assert array.dtype.isnative
    np.asarray(one[0]["m"])[:] = -1
    assert np.asarray(two[0]["m"]).max() == 15
    assert np.asarray(data.batch(0, 0)[0]["m"]).max() == 15
    assert np.asarray(data.batch(0, 2)[2]).tolist() == [1.0] * 8 + [0.0] * 8


def test_padding_changes_no_gradient():
    weights = []
    for pad in (True, False):
        keras.utils.set_random_seed(0)
        network = model(True)
        data = Sequence(frame(12), inputs=["row"], targets="y", batch_size=8, pad=pad)
        weights.append([np.asarray(w) for w in (network.fit(data, verbose=0, shuffle=False), network.get_weights())[1]])
    # Keras divides by rows, the padded ones included: the last batch's step is half as long
    assert np.allclose(weights[0][1], weights[1][1], atol=0.2)


@pytest.mark.slow
def test_it_pickles_small_and_opens_in_another_process(tmp_path, keras_python):
    file = tmp_path / "data.hdf5"
    frame(50_000).export_hdf5(str(file))
    data = Sequence(str(file), inputs=["row", "a"], targets="y", batch_size=8192, shuffle="global", where="a > 0")
    pickled = pickle.dumps(data)
    assert len(pickled) < 8_000
    code = """
import pickle, sys
import numpy as np
data = pickle.loads(bytes.fromhex(sys.argv[1]))
for i in range(len(data)):
    print(np.asarray(data.batch(3, i)[0]).tobytes().hex())
"""
    found = keras_python.run(["-c", code, pickled.hex()], check=True).stdout.split()
    assert found == [np.asarray(data.batch(3, i)[0]).tobytes().hex() for i in range(len(data))]


def test_threads_end_with_the_object():
    before = set(threading.enumerate())  # TensorFlow holds on to what earlier tests fitted on

    def readers():
        return [one for one in threading.enumerate() if one not in before and "vaxseq-read-ahead" in one.name]

    data = watched(20_000, batch_size=16)
    for i in range(len(data)):
        data[i]
    assert readers()
    del data
    gc.collect()
    limit = time.monotonic() + 60
    while readers():
        assert time.monotonic() < limit, "the read-ahead threads outlive their Sequence"
        time.sleep(0.02)


def test_a_hint_is_given_once_when_fit_would_permute_batches(caplog):
    data = Sequence(frame(), inputs=["a"], targets="y", batch_size=8)
    with caplog.at_level(logging.WARNING, "vaxseq"):
        for _ in range(2):
            model(True).fit(data, verbose=0)
        model(True).fit(watched(), verbose=0)
        model(True).fit(watched(shuffle=False), shuffle=False, verbose=0)
    said = [record.message[:31] for record in caplog.records if record.name == "vaxseq"]
    assert said == ["fit trains in the data's order:"]


def test_batches_read_out_of_order_have_no_position():
    data = watched()
    for i in (2, 0):
        data[i]
    with pytest.raises(PositionError, match="out of order"):
        data.position()
    for i in (1, 3, 4):
        data[i]
    assert data.position()["epoch"] == 1


def test_repr_says_what_is_served():
    text = repr(watched(balance=None))
    assert "40" in text and "5 of 8 rows" in text and "shuffled (global), seed 0" in text
    assert "(batch, 1)" in text
    assert "(batch, 1)" in watched()._repr_html_()


class InterruptError(RuntimeError):
    pass


class InterruptAt(keras.callbacks.Callback):
    """Breaks a fit off after so many batches in all."""

    def __init__(self, batches):
        super().__init__()
        self.left = batches

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            raise InterruptError


def trained(network):
    return [np.asarray(weight) for weight in network.get_weights()]


def noisy(built: bool = True, **options) -> keras.Model:
    keras.utils.set_random_seed(3)
    layers = [keras.layers.Rescaling(1 / ROWS), keras.layers.Dense(4), keras.layers.Dropout(0.5, seed=1)]
    made = keras.Sequential([*([keras.Input((1,))] if built else []), *layers, keras.layers.Dense(1)])
    made.compile(keras.optimizers.Adam(0.05), "mse", **options)
    return made


@pytest.mark.parametrize("stops", [[2], [5, 4], [7, 1, 6]])
def test_a_training_resumed_again_and_again_ends_in_the_same_weights(tmp_path, stops):
    whole = noisy()
    whole.fit(watched(), epochs=3, shuffle=False, verbose=0)
    for number, stop in enumerate([*stops, None]):
        network = noisy(built=number % 2 == 0)
        callbacks = [vs.ResumeTraining(tmp_path / "run", every_batches=1)]
        if stop is not None:
            callbacks.append(InterruptAt(stop))
        data = watched()
        try:
            network.fit(data, epochs=3, callbacks=callbacks, validation_data=watched(16), verbose=0)
        except InterruptError:
            continue
        assert stop is None
    for one, two in zip(trained(whole), trained(network), strict=True):
        assert np.array_equal(one, two)
    again = noisy()
    history = again.fit(watched(), epochs=3, callbacks=[vs.ResumeTraining(tmp_path / "run")], verbose=0)
    assert history.epoch == []
    for one, two in zip(trained(whole), trained(again), strict=True):
        assert np.array_equal(one, two)
    more = noisy()
    steps = Steps()
    more.fit(watched(), epochs=4, callbacks=[vs.ResumeTraining(tmp_path / "run"), steps], verbose=0)
    assert steps.steps == [5]
    more.fit(watched(), epochs=1, callbacks=[steps], verbose=0)  # a later fit begins at its own epoch
    assert steps.steps == [5, 5]


def test_a_resume_trains_exactly_the_remaining_batches_and_later_epochs_whole(tmp_path):
    with pytest.raises(InterruptError):
        model(True).fit(
            watched(), epochs=3, verbose=0, callbacks=[vs.ResumeTraining(tmp_path, every_batches=2), InterruptAt(8)]
        )
    saved = json.loads((tmp_path / "resume.json").read_text())["position"]
    assert (saved["epoch"], saved["item"]) == (1, 24)
    data, steps = watched(), Steps()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Your input ran out of data")
        model(True).fit(data, epochs=3, verbose=0, callbacks=[vs.ResumeTraining(tmp_path), steps])
    assert steps.steps == [2, 5]
    passes = epochs_of(data.log)
    whole = watched()
    assert passes[1] == [whole.row_ids(i, epoch=1).tolist() for i in (3, 4)]
    assert passes[2] == [whole.row_ids(i, epoch=2).tolist() for i in range(5)]
    assert not [one for one in warnings.filters if "ran out" in str(one[1])]


def test_a_foreign_position_is_refused_before_anything_is_changed(tmp_path):
    network = model(True)
    network.fit(watched(), verbose=0, callbacks=[vs.ResumeTraining(tmp_path)])
    before = trained(network)
    with pytest.raises(PositionError, match="other seed"):
        network.fit(watched(seed=1), verbose=0, callbacks=[vs.ResumeTraining(tmp_path)])
    other = keras.Sequential([keras.Input((1,)), keras.layers.Dense(3), keras.layers.Dense(1)])
    other.compile("sgd", "mse")
    with pytest.raises(PositionError, match="another model"):
        other.fit(watched(), verbose=0, callbacks=[vs.ResumeTraining(tmp_path)])
    for one, two in zip(before, trained(network), strict=True):
        assert np.array_equal(one, two)
    with pytest.raises(OptionError, match="steps_per_epoch"):
        network.fit(watched(), steps_per_epoch=2, verbose=0, callbacks=[vs.ResumeTraining(tmp_path / "other")])


@pytest.mark.parametrize("kind", ["balance", "weights", "augment"])
def test_balanced_and_augmented_trainings_repeat(kind):
    options = {
        "balance": {"targets": "late", "balance": {0: 1, 1: 1}},
        "weights": {"balance": "w"},
        "augment": {"augment": _noise},
    }[kind]
    results = []
    for _ in range(2):
        data = frame(200)
        data["late"] = data.y > 1
        data["w"] = data.a**2
        keras.utils.set_random_seed(0)
        network = model(True)
        network.fit(
            Sequence(data, **{"inputs": ["row"], "targets": "y", "batch_size": 32, "shuffle": "global", **options}),
            epochs=2, shuffle=False, verbose=0,
        )  # fmt: skip
        results.append(trained(network))
    for one, two in zip(*results, strict=True):
        assert np.array_equal(one, two)


def _noise(batch, rng):
    x, y = batch
    return x + rng.normal(0, 0.1, x.shape), y
