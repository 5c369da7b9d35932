"""Which epoch a fit trains: after other fits, from initial_epoch, in turn with others, through wrappers."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import vaex

from vaxseq import Sequence

pytestmark = pytest.mark.backend
BATCHES = 5


def sequence(kind: type = Sequence, **options) -> Sequence:
    row = np.arange(40)
    frame = vaex.from_arrays(row=row, y=row)
    return kind(frame, **{"inputs": ["row"], "targets": "y", "batch_size": 8, "shuffle": "global", **options})


def order(epoch: int) -> list[list[int]]:
    data = sequence()
    return [np.asarray(data.batch(epoch, i)[0]).ravel().astype(int).tolist() for i in range(BATCHES)]


def model(noted: list) -> keras.Model:
    made = keras.Sequential([keras.Input((1,)), keras.layers.Rescaling(0.01), keras.layers.Dense(1)])
    made.compile("sgd", "mse", run_eagerly=True, jit_compile=False)
    step = made.train_step

    def train_step(*arguments):
        noted.append(keras.ops.convert_to_numpy(arguments[-1][0]).ravel().astype(int).tolist())
        return step(*arguments)

    made.train_step = train_step
    return made


def trained(data, network=None, **options) -> list[list[int]]:
    noted: list[list[int]] = []
    (network or model)(noted).fit(data, verbose=0, **options)
    return noted


def test_fits_follow_each_other_and_initial_epoch_says_where_one_begins():
    data = sequence()
    assert trained(data, epochs=2) == order(0) + order(1)
    assert trained(data) == order(2)
    assert trained(data, initial_epoch=5, epochs=7) == order(5) + order(6)
    assert trained(data) == order(7)
    assert trained(data, initial_epoch=1, epochs=2, shuffle=False) == order(1)


def test_an_epoch_that_is_set_is_the_next_fit_s():
    data = sequence()
    data.epoch = 4
    assert trained(data, epochs=2) == order(4) + order(5)
    assert data.epoch == 5


def test_short_fits_are_an_epoch_each():
    data = sequence()
    for epoch in range(6):
        assert trained(data, steps_per_epoch=2) == order(epoch)[:2]


def test_steps_per_epoch_go_on_through_a_pass_and_then_begin_the_next():
    data = sequence()
    with pytest.warns(UserWarning, match="ran out of data"):  # Keras's own: five batches aren't three times two
        found = trained(data, epochs=3, steps_per_epoch=2)
    assert found == order(0)
    data = sequence()
    assert trained(data, epochs=2, steps_per_epoch=5) == order(0) + order(1)


def test_a_backup_is_restored_to_the_epoch_that_it_was_made_after(tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise RuntimeError

    backup = tmp_path / "backup"
    first = sequence()
    with pytest.raises(RuntimeError):
        trained(first, epochs=4, callbacks=[keras.callbacks.BackupAndRestore(str(backup)), Stop()])
    again = trained(sequence(), epochs=4, callbacks=[keras.callbacks.BackupAndRestore(str(backup))])
    assert again == order(2) + order(3)


def test_models_in_turn_get_other_epochs():
    data = sequence()
    found = [trained(data), trained(data), trained(data)]
    assert found == [order(0), order(1), order(2)]


@pytest.mark.parametrize("nested", ["iterator", "index", "evaluate", "fit"])
def test_a_fit_s_own_epochs_follow_each_other_whatever_is_read_between(nested):
    data = sequence()

    class Nested(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if nested == "iterator":
                list(data)
            elif nested == "index":
                assert len([data[i] for i in range(len(data))]) == BATCHES
            elif nested == "evaluate":
                self.model.evaluate(data, verbose=0)
            else:
                trained(data)

    assert trained(data, epochs=3, callbacks=[Nested()]) == order(0) + order(1) + order(2)


class Wrapped(keras.utils.PyDataset):
    def __init__(self, inner, tells: bool):
        super().__init__()
        self.inner, self.tells = inner, tells

    def __len__(self):
        return len(self.inner)

    def __getitem__(self, index):
        return self.inner[index]

    def on_epoch_end(self):
        if self.tells:
            self.inner.on_epoch_end()


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("tells", [False, True])
def test_a_wrapped_sequence_gives_another_whole_epoch_each_time(tells, shuffle):
    found = trained(Wrapped(sequence(), tells), epochs=3, shuffle=shuffle)
    epochs = [found[at : at + BATCHES] for at in range(0, 15, BATCHES)]
    for epoch in epochs:
        assert sorted(row for batch in epoch for row in batch) == list(range(40)) or (shuffle and not tells)
    assert len({str(sorted(map(sorted, epoch))) for epoch in epochs}) == 3


def test_a_subclass_s_own_batches_are_what_is_trained_evaluated_and_predicted():
    class Doubled(Sequence):
        def __getitem__(self, index):
            x, y = super().__getitem__(index)
            return x * 0 + 7, y

    data = sequence(Doubled)
    assert {row for batch in trained(data, epochs=2) for row in batch} == {7}
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="ones")])
    network.compile("sgd", "mse")
    assert set(network.predict(data, verbose=0).ravel().tolist()) == {7.0}
    assert {float(np.asarray(batch[0]).max()) for batch in data} == {7.0}


def test_a_keras_that_asks_no_adapter_still_trains_each_row_once_an_epoch():
    from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

    data = sequence()
    adapter = PyDatasetAdapter(data, shuffle=False)
    for epoch in range(3):
        adapter.on_epoch_begin()
        rows = [np.asarray(x).ravel().astype(int).tolist() for x, _ in adapter.get_numpy_iterator()]
        adapter.on_epoch_end()
        assert rows == order(epoch)
