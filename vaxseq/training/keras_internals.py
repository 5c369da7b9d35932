"""The seam to Keras: how it is made inside. tests/training/test_keras_internals.py names each thing relied on.

Keras takes an object that is a ``DataAdapter`` as it is, and then asks it for the batches of every pass apart. It asks
without a word about what for, so the stack is looked at: once at the beginning of a pass, and never at a read.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np

from vaxseq.training.backend import keras  # first: it says what to install

# isort: split

from keras.src.backend.common import global_state
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR
from keras.src.trainers.data_adapters.data_adapter import DataAdapter
from keras.src.trainers.data_adapters.data_adapter_utils import class_weight_to_sample_weights
from keras.src.trainers.epoch_iterator import EpochIterator

from vaxseq.errors import OptionError

Purpose = Literal["fit", "evaluate", "predict", "look"]

Made = TypeVar("Made")

_KEPT = "_vaxseq_run"
_CALLS = ("fit", "evaluate", "predict")  # a trainer's methods that read data
_LOOKS = ("_symbolic_build", "_maybe_symbolic_build")  # read a first batch to learn its shapes


class Adapter(keras.utils.PyDataset, DataAdapter):
    """A PyDataset that is its own data adapter: Keras asks ``_batches_for`` for the batches of each pass.

    A Keras that doesn't ask so takes it as any PyDataset, by ``__len__`` and ``__getitem__``.
    """

    def get_numpy_iterator(self) -> Iterator[Any]:
        """The batches of the pass that begins, for backends without an iterator of their own."""
        return self._batches_for(_asked(self))

    def get_jax_iterator(self, super_batch: int | None = None) -> Iterator[Any]:
        """The batches of the pass that begins; JAX takes NumPy arrays as they are.

        ``super_batch``: Keras 3.16 takes so many at once, stacked, when it makes several steps in one execution.
        """
        if not super_batch:
            return self._batches_for(_asked(self))
        return _stacked(self._batches_for(_asked(self), stacked=True), super_batch)

    def get_torch_dataloader(self) -> Iterator[Any]:
        """The batches of the pass that begins, on the device that Keras works on."""
        return _on_device(self._batches_for(_asked(self)))

    def get_tf_dataset(self) -> Any:
        """What Keras asks for once and walks once a pass: a tf.data.Dataset, or tensors on a device."""
        return self._dataset_for(_asked(self))

    def on_epoch_begin(self) -> None:
        """Keras begins a pass, or goes on with one (``steps_per_epoch``)."""
        asked = _asked(self)
        if asked is not None:
            self._pass_begins(asked)

    def on_epoch_end(self) -> None:
        """In a loop of your own by index: the next read begins the next epoch. Keras needs nothing at its ends."""
        if _asked(self) is None:
            self._epoch_ends()

    @property
    def has_partial_batch(self) -> bool:
        """Whether the last batch is a shorter one."""
        return self.partial_batch_size is not None

    @property
    def partial_batch_size(self) -> int | None:
        """Rows of the last batch if it is a shorter one."""
        rows = self._last_batch_rows()
        return None if rows == self.batch_size else rows

    def _batches_for(self, asked: PassRequest | None, *, stacked: bool = False) -> Iterator[Any]:
        """``stacked``: Keras puts several of them together in the host's memory."""
        raise NotImplementedError

    def _dataset_for(self, asked: PassRequest | None) -> Any:
        raise NotImplementedError

    def _pass_begins(self, asked: PassRequest) -> None:
        raise NotImplementedError

    def _epoch_ends(self) -> None:
        raise NotImplementedError

    def _last_batch_rows(self) -> int:
        raise NotImplementedError


class PassRequest(NamedTuple):
    """What Keras asks for a pass: for what, by which epoch iterator, and from which of a trainer's methods.

    ``purpose`` is None if the loop around the iterator isn't Keras's own.
    """

    iterator: EpochIterator
    purpose: Purpose | None
    call: FrameType | None

    @property
    def called(self) -> str | None:
        """The method that the user called, if it is one of Keras's own."""
        return None if self.call is None else self.call.f_code.co_name

    def argument(self, name: str) -> Any:
        """An argument that fit, evaluate or predict was called with, or ``self``; None if it has none of that name."""
        return None if self.call is None else self.call.f_locals.get(name)


def _asked(adapter: Adapter) -> PassRequest | None:
    """Who asks for a pass over the adapter; None if it isn't Keras."""
    iterator, looks, new = None, False, False
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        module, name = frame.f_globals.get("__name__", ""), frame.f_code.co_name
        if module.startswith("keras."):  # the variables of others' frames are never touched: that keeps them alive
            if iterator is None:
                # Keras 3.16 looks without a pass of the iterator
                found = frame.f_locals.get("iterator" if name in _LOOKS else "self")
                if isinstance(found, EpochIterator):
                    iterator = found
                    if getattr(iterator, "data_adapter", None) is not adapter:
                        return None  # another dataset, which hands the call on
            looks, new = looks or name in _LOOKS, new or name == "__init__"
            if iterator is not None and name in _CALLS:
                if new and name == "fit" and frame.f_locals.get("epoch_iterator") is not None:
                    return PassRequest(iterator, "evaluate", None)  # fit makes the iterator over its validation data
                return PassRequest(iterator, "look" if looks else name, frame)  # type: ignore[arg-type]
        frame = frame.f_back
    return None if iterator is None else PassRequest(iterator, "look" if looks else None, None)


def purpose_of(adapter: Adapter) -> Purpose | None:
    """What Keras asks the adapter for just now; None outside of Keras."""
    asked = _asked(adapter)
    return None if asked is None else asked.purpose


def running_call(adapter: Adapter | None = None) -> EpochIterator | None:
    """The epoch iterator of the innermost fit, evaluate or predict that is running, if it reads the adapter (any)."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name in _CALLS and frame.f_globals.get("__name__", "").startswith("keras."):
            iterator = frame.f_locals.get("epoch_iterator")
            if isinstance(iterator, EpochIterator) and (adapter is None or iterator.data_adapter is adapter):
                return iterator
        frame = frame.f_back
    return None


def is_running(run: Any) -> bool:
    """Whether the call that a run was made for is on the stack of some thread."""
    for frame in sys._current_frames().values():
        below: FrameType | None = frame
        while below is not None:
            if below.f_code.co_name in _CALLS and below.f_globals.get("__name__", "").startswith("keras."):
                if getattr(below.f_locals.get("epoch_iterator"), _KEPT, None) is run:
                    return True
            below = below.f_back
    return False


def run_of(iterator: EpochIterator, make: Callable[[], Made]) -> Made:
    """What was made for an epoch iterator; it is kept with it, and ends with it."""
    found: Made | None = getattr(iterator, _KEPT, None)
    if found is None:
        found = make()
        setattr(iterator, _KEPT, found)
    return found


def goes_on(iterator: EpochIterator) -> bool:
    """Whether an epoch of Keras that begins goes on with the pass under way: with steps_per_epoch, if some is left."""
    return iterator.steps_per_epoch is not None and iterator._current_iterator is not None and iterator._steps_seen > 0


def expect(iterator: EpochIterator, num_batches: int) -> None:
    """Tells Keras how many batches the pass has: it takes the first one's number for all of a fit's."""
    iterator._num_batches = num_batches


def steps_taken(iterator: EpochIterator) -> int:
    """Batches of the pass under way that Keras has handed to steps; 0 before the first and after the last."""
    return int(iterator._steps_seen)


def has_default_step(model: Any) -> bool:
    """Whether a model trains by Keras's own step on a compiled loss, which takes targets."""
    if getattr(model, "_compile_loss", None) is None:
        return False
    owners = [one for one in type(model).__mro__ if "train_step" in vars(one) or "compute_loss" in vars(one)]
    return all(one.__module__.startswith("keras.") for one in owners)


def has_strategy(iterator: EpochIterator) -> bool:
    """On TensorFlow, whether a strategy divides batches among devices."""
    strategy = getattr(iterator, "_distribute_strategy", None)
    return strategy is not None and type(strategy).__name__ != "_DefaultDistributionStrategy"


def refuse_auto_sharding() -> None:
    """Keras says so itself to any data but a data adapter.

    Raises:
        OptionError: Keras would share out the batches over processes, which it can't.
    """
    distribution = keras.distribution.distribution()
    if getattr(distribution, "_is_multi_process", False) and getattr(distribution, "auto_shard_dataset", False):
        raise OptionError(
            "distribution: got auto_shard_dataset=True over several processes, expected False. Pass "
            'DataParallel(auto_shard_dataset=False), and shard="auto" to the Sequence.'
        )


def weights_of_classes(targets: Any, class_weight: dict[int, float]) -> np.ndarray[Any, Any]:
    """fit's ``class_weight`` as weights of rows, by Keras's own rule."""
    return np.asarray(class_weight_to_sample_weights(targets, class_weight))


def keep_global_seed() -> Callable[[], None]:
    """Notes Keras's own seed; gives a function that puts it back."""
    seed = global_state.get_global_attribute(GLOBAL_SEED_GENERATOR)
    value = None if seed is None else np.array(keras.ops.convert_to_numpy(seed.state.value))

    def put_back() -> None:
        global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, seed)
        if seed is not None:
            seed.state.assign(value)

    return put_back


def _stacked(batches: Iterator[Any], super_batch: int) -> Iterator[Any]:
    from keras.src.trainers.data_adapters.data_adapter_utils import super_batch_iterator

    stacked: Iterator[Any] = super_batch_iterator(batches, super_batch)
    return stacked


def _on_device(batches: Iterator[Any]) -> Iterator[Any]:
    if keras.ops.zeros(()).device.type == "cpu":
        return batches
    return (
        keras.tree.map_structure(lambda part: None if part is None else keras.ops.convert_to_tensor(part), batch)
        for batch in batches
    )
