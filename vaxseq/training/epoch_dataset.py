"""A dataset that is read in epochs: by Keras, by an iterator, by index, from torch and tf.data."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import replace
from typing import Any, SupportsIndex

import numpy as np

from vaxseq.errors import OptionError
from vaxseq.plan.plan import BatchPlan
from vaxseq.plan.position import Position
from vaxseq.training.backend import keras
from vaxseq.training.batches import Batch
from vaxseq.training.device_feed import DeviceFeed
from vaxseq.training.devices import Placement
from vaxseq.training.epochs import Epochs, Pass
from vaxseq.training.joining import Joining
from vaxseq.training.keras_call import KerasCall
from vaxseq.training.keras_internals import (
    Adapter,
    PassRequest,
    has_strategy,
    is_running,
    purpose_of,
    run_of,
    running_call,
)
from vaxseq.training.pipeline import Pipeline
from vaxseq.training.tf_dataset import tf_dataset
from vaxseq.training.torch_dataset import torch_loader

_WORKERS = (
    "workers={workers}, use_multiprocessing={processes}: Keras's own workers serve stale and repeated batches after "
    "the first peek, so vaxseq reads ahead itself. Leave both out; read_ahead= sets how far."
)


class EpochDataset(Adapter):
    """Batches by epoch and index, and what begins an epoch.

    A subclass may override ``__getitem__`` to change batches; every way of reading goes through it then.
    """

    _device = DeviceFeed()

    def __init__(self, *, workers: int = 0, use_multiprocessing: bool = False) -> None:
        if workers > 1 or use_multiprocessing:
            raise OptionError(_WORKERS.format(workers=workers, processes=use_multiprocessing))
        super().__init__(workers=0)

    def _serve(self, pipeline: Pipeline, plan: BatchPlan, content: Callable[[], dict[str, str]]) -> None:
        """From now on, these are the batches. ``content`` tells what they are made of."""
        self._pipeline, self._content = pipeline, content
        self._epochs = Epochs(pipeline.loader, plan)
        self._joining = Joining(self._epochs)
        self._read_for = threading.local()
        self._looks: dict[bool, list[Batch]] = {}
        self._feeds: list[tuple[KerasCall, Generator[Batch, None, None]]] = []

    @property
    def _plan(self) -> BatchPlan:
        return self._epochs.whole.plan

    def batch(self, epoch: int, index: int) -> Batch:
        """Batch ``index`` of an epoch: pure, the same bytes from any thread, process and order of asking."""
        return self._epochs.whole.loader.batch(epoch, index)

    def __getitem__(self, index: SupportsIndex) -> Batch:
        """Batch ``index`` of the epoch under way. Batch 0 again, or any after the last one, begins the next epoch."""
        served: Pass | None = getattr(self._read_for, "served", None)
        if served is not None:
            return served.part.loader.batch(served.epoch, index.__index__())
        if isinstance(index, slice):
            raise OptionError(
                f"sequence[{index.start}:{index.stop}]: a Sequence gives one batch at a time. Take batch(epoch, i) for "
                "each i, or give the Sequence rows= to serve fewer rows."
            )
        one, number = self._epochs.read(index.__index__(), lambda: running_call(self) is not None)
        self._joining.reads(one)
        return one.part.loader.batch(one.epoch, number)

    def __iter__(self) -> Iterator[Batch]:
        """The batches of the next epoch, in order; each new iterator is a new epoch."""
        return self._next_epoch(self._device.for_loops())

    def _next_epoch(self, placement: Placement | None = None) -> Iterator[Batch]:
        begun = self._epochs.begin()
        self._joining.reads(begun)
        return self._through(begun) if placement is None else self._fed(begun, placement)

    def __len__(self) -> int:
        return self._epochs.num_batches

    @property
    def num_batches(self) -> int:
        """Batches of the epoch under way, or of the next; fewer than an epoch's if a position was sought."""
        if self._epochs.rest_is_due and purpose_of(self) in ("evaluate", "predict"):
            return self._plan.num_batches
        return len(self)

    @property
    def epoch(self) -> int:
        """The epoch under way: that of the last training batch read; set it to say which one is next.

        >>> import numpy as np, vaex, vaxseq
        >>> train = vaxseq.Sequence(vaex.from_arrays(x=np.arange(9.0)), inputs=["x"], batch_size=2, shuffle="global")
        >>> train.epoch = 3
        >>> bool((train[0][0] == train.batch(3, 0)[0]).all())
        True
        """
        return self._epochs.epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._epochs.set(epoch)

    def position(self) -> dict[str, Any]:
        """Where training is, as plain values for JSON: the batches before it were read, the ones after it weren't.

        In a fit it counts the batches that were trained on, at the end of a batch; in a loop of your own those that
        were read. It holds fingerprints of the data, the rows, the features and the order.

        Raises:
            PositionError: batches of this epoch were read out of order.
        """
        return replace(self._epochs.position(), read=self._content()).to_dict()

    def _behind(self, one: Pass) -> dict[str, Any]:
        return replace(one.position, read=self._content()).to_dict()

    def seek(self, position: Mapping[str, Any]) -> None:
        """Go on from a position: the next pass of training is what was left of its epoch, the ones after it are whole.

        The position may come from another batch size or number of shards.

        Raises:
            PositionError: it was taken over other data, rows or features, or in another order; it says which.
        """
        found = Position.from_dict(position)
        found.resume(self._plan)
        if found.read:
            found.check(self._content())
        self._epochs.seek(found)

    def to_torch(self) -> Any:
        """A torch DataLoader over the same batches in the same order; each pass over it is the next epoch.

        Where Keras works on torch and ``device`` names one, the batches are there.
        """
        torch = keras.backend.backend() == "torch"
        return torch_loader(lambda: iter(self) if torch else self._next_epoch(), lambda: len(self))

    def to_tf(self) -> Any:
        """A tf.data.Dataset over the same batches in the same order; each pass over it is the next epoch."""
        return tf_dataset(
            self._next_epoch, self._looked_at(self._plan), None if self._epochs.rest_is_due else len(self)
        )

    @property
    def workers(self) -> int:
        """0: Keras reads in its own thread, and the read-ahead is ours."""
        return 0

    @workers.setter
    def workers(self, value: int) -> None:
        if value > 1:
            raise OptionError(_WORKERS.format(workers=value, processes=False))

    @property
    def use_multiprocessing(self) -> bool:
        """False, always."""
        return False

    @use_multiprocessing.setter
    def use_multiprocessing(self, value: bool) -> None:
        if value:
            raise OptionError(_WORKERS.format(workers=1, processes=True))

    def _pass_begins(self, asked: PassRequest) -> None:
        self._run(asked.iterator).begin(asked)

    def _epoch_ends(self) -> None:
        self._epochs.end()

    def _batches_for(self, asked: PassRequest | None, *, stacked: bool = False) -> Iterator[Batch]:
        if asked is None:
            return self._lazily(self.__iter__)
        run = self._run(asked.iterator)
        if asked.purpose == "look":
            return self._lazily(lambda: run.weighed(iter(self._looked_at(self._plan))))
        return self._lazily(lambda: self._batches_of(run, None if stacked else self._device.for_keras()))

    def _dataset_for(self, asked: PassRequest | None) -> Any:
        run = None if asked is None else self._run(asked.iterator)
        if asked is not None and run is not None:
            placement = None
            if not has_strategy(asked.iterator):
                placement = self._device.for_keras()
            else:
                self._device.refuse_division()
            if placement is not None:
                run.check(asked)
                return _Walks(lambda: self._batches_of(run, placement))
        evaluates = asked is not None and asked.purpose in ("evaluate", "predict")
        looked_at = self._looked_at(self._epochs.evaluation_plan if evaluates else self._plan)
        if asked is not None and run is not None and asked.purpose == "fit":
            run.check(asked)
            looked_at = list(run.weighed(iter(looked_at)))
        if evaluates:
            looked_at = [_with_use_for_weights(batch) for batch in looked_at]
        return tf_dataset(lambda: self._next_epoch() if run is None else self._batches_of(run), looked_at, None)

    def _run(self, iterator: Any) -> KerasCall:
        return run_of(iterator, lambda: KerasCall(self._epochs, self._joining, has_targets=self._pipeline.has_targets))

    def _batches_of(self, run: KerasCall, placement: Placement | None = None) -> Iterator[Batch]:
        if run.looks:
            return run.weighed(iter(self._looked_at(self._plan)))
        if run.current is None:  # asked for without a beginning
            return self._next_epoch(placement)
        if placement is not None and self._device.resident is not None and run.has_class_weight:
            raise OptionError("fit(class_weight=): with store='device' give class_weight to the Sequence.")

        def finished(batches: Iterator[Batch]) -> Iterator[Batch]:
            weighed = run.weighed(batches)
            return map(_with_use_for_weights, weighed) if run.evaluates else weighed

        run.current.part.loader.expect(run.current.epoch, 0)
        if placement is None:
            return finished(self._through(run.current))
        self._end_feeds()
        feed = self._fed(run.current, placement, finished)
        self._feeds.append((run, feed))
        return feed

    def _fed(
        self,
        one: Pass,
        placement: Placement,
        change: Callable[[Iterator[Batch]], Iterator[Batch]] = lambda batches: batches,
    ) -> Generator[Batch, None, None]:
        """The batches of a pass, ``change`` done to them, where ``placement`` has them."""
        return one.counted(self._device.batches(one, placement, lambda: self._made(one), change))

    def _end_feeds(self) -> None:
        """A pass that its call left behind has a thread still, and batches on the device."""
        begun = [(run, feed) for run, feed in self._feeds if inspect.getgeneratorstate(feed) != inspect.GEN_CLOSED]
        self._feeds = [(run, feed) for run, feed in begun if is_running(run)]
        for one in begun:
            if one not in self._feeds:
                one[1].close()

    def _looked_at(self, plan: BatchPlan) -> list[Batch]:
        """Batches of the shapes and types to come; read only if these may change on the way, and once."""
        if self._plain and self._pipeline.augment is None:
            return [self._pipeline.blank(plan)]
        whole = plan is self._plan
        if whole not in self._looks:
            aside = Pass(0, self._epochs.whole) if whole else self._epochs.evaluation()
            batches = min(plan.num_batches, 1 if self._plain else 2)  # where two differ in a length, others may too
            self._looks[whole] = [batch for _, batch in zip(range(batches), self._through(aside), strict=False)]
        return self._looks[whole]

    @property
    def _plain(self) -> bool:
        return type(self).__getitem__ is EpochDataset.__getitem__

    def _through(self, one: Pass) -> Iterator[Batch]:
        """The batches of a pass, by way of a subclass's ``__getitem__`` if it has one."""
        return one.batches() if self._plain else one.counted(self._made(one))

    def _made(self, one: Pass) -> Iterator[Batch]:
        """The same, uncounted."""
        if self._plain:
            load = one.part.loader.batch
            yield from (load(one.epoch, index) for index in range(one.part.plan.num_batches))
            return
        for index in range(one.part.plan.num_batches):
            self._read_for.served = one
            try:
                batch = self[index]
            finally:
                self._read_for.served = None
            yield _standard(batch)

    @staticmethod
    def _lazily(batches: Callable[[], Iterator[Batch]]) -> Iterator[Batch]:
        """Keras asks for an iterator at the end of each pass, which it doesn't read."""
        yield from batches()

    def _last_batch_rows(self) -> int:
        return self._plan.rows(self._plan.num_batches - 1, 1)


class _Walks:
    """What Keras walks once a pass on TensorFlow, where batches are tensors already: each walk is a pass."""

    def __init__(self, walk: Callable[[], Iterator[Batch]]) -> None:
        self._walk = walk

    def __iter__(self) -> Iterator[Batch]:
        return self._walk()


def _standard(batch: Any) -> Any:
    """A subclass's batch in the form that Keras makes of any PyDataset's."""
    if isinstance(batch, list):
        return tuple(batch)
    return (batch,) if isinstance(batch, np.ndarray) else batch


def _with_use_for_weights(batch: Batch) -> Batch:
    """Without targets weights have none, and JAX and tf.data no form for what is between."""
    return batch[:1] if len(batch) == 3 and batch[1] is None else batch
