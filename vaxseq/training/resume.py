"""``ResumeTraining``: a Keras callback that saves the model and how far training is, and goes on from there."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from vaxseq.errors import OptionError
from vaxseq.plan.position import Position
from vaxseq.training.backend import keras
from vaxseq.training.checkpoint import Checkpoint
from vaxseq.training.sequence import Sequence


class ResumeTraining(keras.callbacks.Callback):
    """Makes a fit on a Sequence resumable to the batch: run the same script again after a kill.

    It saves the model's weights, the optimizer, the states of random layers, the epoch, and the batches that were
    trained on (not those that were read ahead). Other callbacks' states and an epoch's running metrics aren't saved:
    the metrics of a resumed epoch are those of its rest. While it is there, batches come in the Sequence's own order,
    whatever fit's ``shuffle`` is. When training is over, running the script again trains nothing more.

    Of several ranks the first one saves, for all: what it saves holds for any number of ranks.

    Args:
        folder: where to save; one for each training, which all its ranks read.
        every_batches: save when so many batches were trained on since the last save.
        every_s: save when so many seconds have passed since the last save. Without either: every 60 seconds.

    Raises:
        PositionError: what was saved is of another Sequence or model.
        OptionError: fit isn't on a Sequence, or has ``steps_per_epoch``.

    >>> callback = ResumeTraining("run", every_batches=100)
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        every_batches: int | None = None,
        every_s: float | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("every_batches", every_batches), ("every_s", every_s)):
            if value is not None and not value > 0:
                raise OptionError(f"{name}: got {value!r}, expected more than 0")
        self._every_batches = every_batches
        self._every_s = 60.0 if every_batches is None and every_s is None else every_s
        self._checkpoint = Checkpoint(folder)

    def on_train_begin(self, logs: Any = None) -> None:
        """Put the model and the Sequence where the last save left them."""
        self._fit = _iterator_of_fit()
        self._sequence = self._fit.data_adapter.py_dataset
        passes = self._sequence._passes
        passes.serve_in_turn = True
        self._consumed = 0
        record = self._checkpoint.record()
        if record is None:
            passes.latch.begin(0)
            self._epoch = 0
        else:
            position = Position.from_dict(record["position"])
            passes.seek(position)  # refuses a foreign position before anything is changed
            self._checkpoint.restore(self.model, record, self._sequence.batch(0, 0)[0])
            self._epoch = passes.latch.epoch
            self.model._initial_epoch = self._epoch
            # Keras would run into the end of a shorter epoch: it warns, and on TensorFlow the step that finds no
            # data still moves random seeds and the optimizer's counter on
            self._fit._num_batches = passes.current.plan.num_batches
        passes.trained(0)
        self._saved_at, self._saved_batches = time.monotonic(), 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Check that Keras begins the epoch that is due."""
        self.model._initial_epoch = None  # or a later fit would begin here too
        if epoch != self._epoch:
            raise OptionError(
                f"ResumeTraining: fit begins epoch {epoch}, expected {self._epoch}. Leave out initial_epoch: it is "
                "taken from the folder."
            )
        self._consumed = 0
        passes = self._sequence._passes
        passes.latch.begin(epoch)  # whatever was read between the epochs
        passes.trained(0)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count the batch; save if it is time."""
        passes = self._sequence._passes
        plan = passes.of(self._epoch).plan
        consumed = min(batch + 1, plan.num_batches)  # with steps_per_execution several at once
        self._saved_batches += consumed - self._consumed
        self._consumed = consumed
        passes.trained(consumed)
        due = self._every_batches is not None and self._saved_batches >= self._every_batches
        due = due or (self._every_s is not None and time.monotonic() - self._saved_at >= self._every_s)
        if due:
            self._save(Position.after(plan, self._epoch, consumed))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Go on to the next epoch."""
        self._fit._num_batches = self._sequence._passes.whole.plan.num_batches
        if self._consumed >= self._sequence._passes.of(self._epoch).plan.num_batches:
            self._epoch += 1
            self._consumed = 0

    def on_train_end(self, logs: Any = None) -> None:
        """Save where training ended."""
        passes = self._sequence._passes
        self._save(Position.after(passes.of(self._epoch).plan, self._epoch, self._consumed))
        passes.serve_in_turn = False
        passes.trained(None)
        self.model._initial_epoch = None

    def _save(self, position: Position) -> None:
        if self._sequence._passes.whole.plan.shard_index == 0:
            self._checkpoint.save(self.model, {"position": position.to_dict()})
        self._saved_at, self._saved_batches = time.monotonic(), 0


def _iterator_of_fit() -> Any:
    """The epoch iterator of the fit that is running: Keras shows callbacks neither the data nor its length."""
    frame = sys._getframe(1)
    while frame is not None:
        found = frame.f_locals.get("epoch_iterator")
        if found is not None and hasattr(found, "data_adapter"):
            break
        frame = frame.f_back  # type: ignore[assignment]
    else:
        raise OptionError("ResumeTraining: no fit of Keras is running. Pass it to model.fit(callbacks=[...]).")
    data = getattr(found.data_adapter, "py_dataset", None)
    if not isinstance(data, Sequence):
        raise OptionError("ResumeTraining: fit isn't on a vaxseq.Sequence. Pass one, not wrapped in anything else.")
    if found.steps_per_epoch:
        raise OptionError(
            f"ResumeTraining: got steps_per_epoch={found.steps_per_epoch}, expected None: an epoch is a whole pass. "
            "Leave it out."
        )
    return found
