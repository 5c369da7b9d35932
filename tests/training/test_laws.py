"""Whatever is done with a Sequence, in whatever mix: each epoch of training visits each selected row exactly once.

Every mix is also played by a model that counts epochs, so each pass's batches are compared with ``batch(epoch, i)``.
"""

from __future__ import annotations

import copy
import pickle

import keras
import numpy as np
import pytest
import vaex
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from vaxseq import Sequence

pytestmark = pytest.mark.backend
ROWS, SIZE = 30, 4
BATCHES = 8


def sequence(shuffle="global", **options) -> Sequence:
    row = np.arange(ROWS)
    frame = vaex.from_arrays(row=row, y=row.astype(np.float32))
    return Sequence(
        frame, **{"inputs": ["row"], "targets": "y", "batch_size": SIZE, "seed": 3, "shuffle": shuffle, **options}
    )


def rows(batch) -> tuple[int, ...]:
    return tuple(np.asarray(batch[0])[:, 0].astype(int).tolist())


PURE = sequence()
ORDER: dict[int, list[tuple[int, ...]]] = {}


def order(epoch: int) -> list[tuple[int, ...]]:
    if epoch not in ORDER:
        ORDER[epoch] = [rows(PURE.batch(epoch, i)) for i in range(BATCHES)]
    return ORDER[epoch]


class Recorder(keras.Model):
    """Notes the rows of the batches that reach its steps."""

    def __init__(self):
        super().__init__()
        self.scale = keras.layers.Rescaling(1 / ROWS)
        self.dense = keras.layers.Dense(1)
        self.trained: list[tuple[int, ...]] = []
        self.tested: list[tuple[int, ...]] = []

    def call(self, x):
        return self.dense(self.scale(x))

    def train_step(self, *arguments):
        self.trained.append(self._rows(arguments[-1]))
        return super().train_step(*arguments)

    def test_step(self, *arguments):
        self.tested.append(self._rows(arguments[-1]))
        return super().test_step(*arguments)

    @staticmethod
    def _rows(data):
        return tuple(keras.ops.convert_to_numpy(data[0])[:, 0].astype(int).tolist())


def recorder() -> Recorder:
    made = Recorder()
    made.compile("sgd", "mse", run_eagerly=True, jit_compile=False)
    return made


class StopError(RuntimeError):
    pass


class Nested(keras.callbacks.Callback):
    """Does something with the data inside a fit; breaks the fit off after so many batches."""

    def __init__(self, data: Sequence, nested: str | None, stop: int | None) -> None:
        super().__init__()
        self.data, self.nested, self.stop = data, nested, stop
        self.other = recorder()
        self.places: list[dict] = []

    def on_train_batch_end(self, batch, logs=None):
        self.places.append(self.data.position())
        if self.nested == "evaluate":
            self.other.evaluate(self.data, verbose=0)
        elif self.nested == "predict":
            self.other.predict(self.data, verbose=0)
        elif self.nested == "read":
            assert rows(self.data[0]) in order(self.data.epoch)
        if self.stop is not None:
            self.stop -= 1
            if not self.stop:
                raise StopError


class Played:
    """A Sequence and what it has to give next: ``epoch``, from batch ``start`` on.

    A fit of some steps leaves a part of an epoch, of which only its position knows: ``left``.
    """

    def __init__(self) -> None:
        self.data, self.model = sequence(), recorder()
        self.epoch, self.start = 0, 0
        self.left: tuple[int, int] | None = None

    def expected(self) -> list[tuple[int, ...]]:
        return order(self.epoch)[self.start :]

    def next(self) -> list[tuple[int, ...]]:
        """A whole pass of what is due; the model of it moves on."""
        found = self.expected()
        self.epoch, self.start, self.left = self.epoch + 1, 0, None
        return found

    def fit(self, epochs: int, nested: str | None, validated: bool, stop: int | None) -> None:
        self.model.trained = []
        watch = Nested(self.data, nested, stop)
        options = {"validation_data": self.data} if validated else {}
        try:
            self.model.fit(self.data, epochs=epochs, verbose=0, callbacks=[watch], **options)
        except StopError:
            self.due_after(self.model.trained)
            self.data.seek(watch.places[-1])  # a killed training goes on from its last position
            return
        wanted = [batch for _ in range(epochs) for batch in self.next()]
        assert self.model.trained == wanted

    def due_after(self, trained: list[tuple[int, ...]]) -> None:
        """The model moves on behind these batches, which have to be the next ones."""
        self.left = None
        for batch in trained:
            assert batch == order(self.epoch)[self.start]
            self.start += 1
            if self.start == BATCHES:
                self.epoch, self.start = self.epoch + 1, 0

    def steps(self, epochs: int, steps: int) -> None:
        """With steps_per_epoch the pass goes on from epoch to epoch; what it leaves is left."""
        steps = min(steps, len(self.expected()))
        epochs = max(1, min(epochs, len(self.expected()) // steps))
        self.model.trained = []
        self.model.fit(self.data, epochs=epochs, steps_per_epoch=steps, verbose=0)
        left = (self.epoch, self.start + epochs * steps)
        assert self.model.trained == self.next()[: epochs * steps]
        self.left = left if left[1] < BATCHES else None

    def evaluate(self, call: str) -> None:
        place = (self.data.epoch, len(self.data), self.data.position())
        self.model.tested = []
        result = getattr(self.model, call)(self.data, verbose=0)
        if call == "evaluate":
            assert self.model.tested == order(0)
        else:
            joined = self.data.attach(result, "p")
            expected = self.model.predict(np.arange(ROWS, dtype=np.float32)[:, None], verbose=0)[:, 0]
            assert np.allclose(joined.evaluate("p").astype(float), expected, atol=1e-6)
        assert place == (self.data.epoch, len(self.data), self.data.position())

    def loop(self, by: str) -> None:
        data = self.data
        if by == "index":
            found = [rows(data[i]) for i in range(len(data))]
        elif by == "iterator":
            found = [rows(batch) for batch in data]
        else:
            found = [rows(batch) for batch in data.to_torch()]
        assert found == self.next()

    def partly(self, batches: int) -> None:
        """Some batches by an iterator, and the rest of the epoch by a position, in a copy."""
        batches = min(batches, len(self.expected()))
        read = iter(self.data)
        self.due_after([rows(next(read)) for _ in range(batches)])
        fresh = sequence()
        fresh.seek(self.data.position())
        self.data = fresh

    def copied(self, how: str) -> None:
        self.data = pickle.loads(pickle.dumps(self.data)) if how == "pickle" else copy.deepcopy(self.data)

    def set(self, epoch: int) -> None:
        self.data.epoch = epoch
        self.epoch, self.start, self.left = epoch, 0, None

    def shards(self, count: int) -> None:
        """From the position on by several ranks: together they give the same rows."""
        self.epoch, self.start = self.left or (self.epoch, self.start)
        ranks = [sequence(shard=(index, count)) for index in range(count)]
        seen: list[int] = []
        for rank in ranks:
            rank.seek(self.data.position())
            for batch in rank:
                real = np.asarray(batch[2]) > 0 if len(batch) == 3 else np.ones(len(batch[0]), bool)
                seen += np.asarray(batch[0])[real, 0].astype(int).tolist()
        wanted = self.next()
        assert sorted(seen) == sorted(row for batch in wanted for row in batch)
        self.data.seek(ranks[0].position())


ACTIONS = st.one_of(
    st.tuples(
        st.just("fit"), st.integers(1, 2), st.sampled_from([None, "evaluate", "predict", "read"]), st.booleans(),
        st.sampled_from([None, 1, 3, 8, 11]),
    ),
    st.tuples(st.just("steps"), st.integers(1, 3), st.integers(1, 9)),
    st.tuples(st.just("evaluate"), st.sampled_from(["evaluate", "predict"])),
    st.tuples(st.just("loop"), st.sampled_from(["index", "iterator", "torch"])),
    st.tuples(st.just("partly"), st.integers(1, 8)),
    st.tuples(st.just("copied"), st.sampled_from(["pickle", "deepcopy"])),
    st.tuples(st.just("set"), st.integers(0, 5)),
    st.tuples(st.just("shards"), st.integers(1, 3)),
)  # fmt: skip


@pytest.mark.slow
@settings(  # shrinking takes minutes: a mix is short, and says which of its steps went wrong
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(st.lists(ACTIONS, min_size=1, max_size=6))
def test_each_epoch_of_training_visits_each_row_once_in_its_order(actions):
    played = Played()
    for name, *arguments in actions:
        if name == "loop" and arguments == ["torch"]:
            pytest.importorskip("torch")
        if name == "fit" and (arguments[3] or 0) > len(played.expected()) + BATCHES * (arguments[0] - 1):
            arguments[3] = None  # over before
        getattr(played, name)(*arguments)
    assert [rows(batch) for batch in played.data] == played.next()
