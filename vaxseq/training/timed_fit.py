"""What a profile needs of Keras: timed reads inside a fit, and a fit without any reading."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from vaxseq.errors import OptionError
from vaxseq.features.program.recipe import Recipe
from vaxseq.frame import Source
from vaxseq.loading.loader import Loaded
from vaxseq.plan.plan import BatchPlan
from vaxseq.plan.rows import RowIndex
from vaxseq.store import StoreReader
from vaxseq.training.backend import keras
from vaxseq.training.devices import placement_of
from vaxseq.training.resident import Resident
from vaxseq.training.sequence import Sequence

_WARM_STEPS = 3  # a fit's first steps compile and allocate


@dataclass(frozen=True, slots=True)
class Steps:
    """Steps of a fit: how many, the seconds between the first and the last, and what of it went into reading.

    ``waited_s`` is None when batches were read in other threads, so that waiting can't be told from reading.
    """

    count: int
    seconds: float
    waited_s: float | None

    @property
    def each_s(self) -> float:
        return self.seconds / max(1, self.count)


def check_dataset(dataset: Any) -> None:
    """Refuses what isn't a PyDataset, or is an empty one.

    Raises:
        OptionError: it is something else, or has no batches.
    """
    if not isinstance(dataset, keras.utils.PyDataset):
        raise OptionError(
            f"profile: got {type(dataset).__name__}, expected a vaxseq.Sequence or another keras.utils.PyDataset"
        )
    if not dataset.num_batches:
        raise OptionError(f"profile: {type(dataset).__name__} has {dataset.num_batches} batches, expected at least one")


def check_model(model: Any) -> None:
    """Refuses what isn't a Keras model.

    Raises:
        OptionError: it is something else.
    """
    if not isinstance(model, keras.Model):
        raise OptionError(f"profile: model: got {type(model).__name__}, expected a compiled Keras model")


def to_tensors(batch: Any) -> None:
    """Turn a batch into the backend's tensors, as the first thing in a training step does, and wait until they exist.

    JAX and an accelerator are given the work and go on by themselves; the clock is theirs.
    """

    def convert(array: Any) -> Any:
        return None if array is None else keras.ops.convert_to_tensor(array)

    for tensor in keras.tree.flatten(keras.tree.map_structure(convert, batch)):
        _wait_for(tensor)


def _wait_for(tensor: Any) -> None:
    if hasattr(tensor, "block_until_ready"):
        tensor.block_until_ready()
    elif getattr(tensor, "is_cuda", False):
        import torch

        torch.cuda.synchronize(tensor.device)
    elif "GPU" in str(getattr(tensor, "device", "")):
        import tensorflow as tf

        tf.test.experimental.sync_devices()


def timed_fit(model: keras.Model, dataset: Any, seconds: float, *, shuffle: bool) -> Steps:
    """Fit on the dataset for about so long, as a plain ``model.fit(dataset)`` would."""
    timed = _Timed(dataset)
    _fit(model, timed, _Clock(seconds, timed.mark), shuffle)
    return timed.steps()


def step_fit(model: keras.Model, batches: list[Any], seconds: float) -> Steps:
    """Fit on batches that are in memory already, over and over: what a step costs without reading."""
    ready = _Ready(batches)
    _fit(model, ready, _Clock(seconds, ready.mark), shuffle=False)
    return ready.steps()


def _fit(model: keras.Model, dataset: Any, clock: _Clock, shuffle: bool) -> None:
    # as many epochs as fit into the time; the clock stops the last one
    model.fit(dataset, epochs=1_000_000, verbose=0, shuffle=shuffle, callbacks=[clock])


class _Clock(keras.callbacks.Callback):
    """Marks the end of each step and stops the fit when time is up."""

    def __init__(self, seconds: float, mark: Callable[[], None]) -> None:
        super().__init__()
        self._seconds, self._mark = seconds, mark
        self._first: float | None = None
        self._steps = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        for value in (logs or {}).values():
            float(value)  # waits for the step: JAX hands out a step's results before it is done
        self._mark()
        self._steps += 1
        now = time.perf_counter()
        if self._steps == _WARM_STEPS:
            self._first = now
        if self._first is not None and self._steps > _WARM_STEPS and now - self._first >= self._seconds:
            self.model.stop_training = True


class _Marked(keras.utils.PyDataset):
    """A dataset that notes when steps end, and how long reads in the fit's own thread took."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._owner = threading.get_ident()
        self._marks: list[float] = []
        self._waits: list[float] = []
        self._waited = 0.0
        self._elsewhere = False

    def mark(self) -> None:
        self._marks.append(time.perf_counter())
        self._waits.append(self._waited)

    def steps(self) -> Steps:
        first = min(_WARM_STEPS, len(self._marks)) - 1
        waited = None if self._elsewhere else self._waits[-1] - self._waits[first]
        return Steps(len(self._marks) - 1 - first, self._marks[-1] - self._marks[first], waited)

    def _noted(self, read: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        batch = read()
        self._waited += time.perf_counter() - start
        self._elsewhere |= threading.get_ident() != self._owner
        return batch


class _Timed(_Marked):
    """Another PyDataset, with its reads timed."""

    def __init__(self, dataset: Any) -> None:
        super().__init__(
            workers=dataset.workers,
            use_multiprocessing=dataset.use_multiprocessing,
            max_queue_size=dataset.max_queue_size,
        )
        self._dataset = dataset

    @property
    def num_batches(self) -> int | None:
        count: int | None = self._dataset.num_batches
        return count

    def __len__(self) -> int:
        return int(self._dataset.num_batches)

    def __getitem__(self, index: int) -> Any:
        return self._noted(lambda: self._dataset[index])

    def on_epoch_begin(self) -> None:
        self._dataset.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self._dataset.on_epoch_end()


class _Ready(_Marked):
    """Batches in memory, round and round; an epoch is long, so that its ends don't count."""

    def __init__(self, batches: list[Any]) -> None:
        super().__init__()
        self._batches = batches

    def __len__(self) -> int:
        return 1_000_000

    def __getitem__(self, index: int) -> Any:
        return self._noted(lambda: self._batches[index % len(self._batches)])


@dataclass(frozen=True, slots=True)
class Insides:
    """What a Sequence is made of. ``finish`` makes a batch of the arrays, and augments it if ``augmented``,
    in so many ``processes`` or in its own thread; ``way`` is how its rows come into their order.
    """

    reader: Any
    stored: bool
    index: RowIndex
    plan: BatchPlan
    finish: Callable[[Loaded], Any]
    source: Source
    recipe: Recipe
    augmented: bool
    processes: int
    way: str


def insides(sequence: Sequence) -> Insides:
    """The parts of a Sequence, to be run apart from it."""
    items, whole = sequence._items, sequence._epochs.whole
    return Insides(
        items.reader,
        isinstance(items.reader, StoreReader),
        items.index,
        whole.plan,
        whole.loader.finish,
        sequence._source,
        sequence._recipe,
        sequence._options["augment"] is not None,
        0 if sequence._pipeline.pool is None else sequence._pipeline.pool.workers,
        sequence._pipeline.way(whole.plan).kind,
    )


def on_accelerator(sequence: Sequence | None) -> tuple[str, bool, bool, bool] | None:
    """What Keras works on here, if that isn't the processor.

    Returns:
        Its name; and of a Sequence whether fit has batches put there ahead, whether its rows are kept there, and
        whether they could be.
    """
    found = placement_of("auto")
    if found is None:
        return None
    if sequence is None:
        return found.name, False, False, False
    feed = sequence._device
    kept = feed.resident is not None
    fits = sequence._pipeline.augment is None and Resident(sequence._pipeline).fits(found)
    return found.name, feed.device is not None, kept, fits


def is_sequence(dataset: Any) -> bool:
    """Whether it is one of ours."""
    return isinstance(dataset, Sequence)


def resized(sequence: Sequence, batch_size: int) -> Sequence:
    """The same Sequence, with batches of this size, and with an epoch and threads of its own."""
    other = object.__new__(type(sequence))
    other.__dict__.update(sequence.__dict__)
    other._serve(sequence._pipeline, replace(sequence._plan, batch_size=batch_size), sequence._content)
    return other
