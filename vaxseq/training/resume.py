"""``ResumeTraining``: a Keras callback that saves the model and how far training is, and goes on from there."""

from __future__ import annotations

import os
import time
from typing import Any

from vaxseq.errors import OptionError
from vaxseq.training.backend import keras
from vaxseq.training.checkpoint import Checkpoint
from vaxseq.training.keras_call import KerasCall
from vaxseq.training.keras_internals import running_call
from vaxseq.training.sequence import Sequence


class ResumeTraining(keras.callbacks.Callback):
    """Makes a fit on a Sequence resumable to the batch: run the same script again after a kill.

    It saves the model's weights, the optimizer, the states of random layers, the epoch, and the batches that were
    trained on (not those that were read ahead). Other callbacks' states and an epoch's running metrics aren't saved:
    the metrics of a resumed epoch are those of its rest. When training is over, running the script again trains nothing
    more.

    The folder holds the last two states; if the last one is damaged, that is logged, and training goes on from the one
    before it. One training at a time may write there: a lock says so, which ends with its process, however it ends.

    Of several ranks the first one saves, for all: what it saves holds for any number of ranks.

    Args:
        folder: where to save; one for each training, which all its ranks read.
        every_batches: save when so many batches were trained on since the last save.
        every_s: save when so many seconds have passed since the last save. Without either: every 60 seconds.

    Raises:
        PositionError: what was saved is of another Sequence or model; it says what differs. Or all of it is damaged.
        OptionError: fit isn't on a Sequence, or has ``steps_per_epoch``; the folder can't be written, or another
            training writes there.

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
        self._sequence, self._run = _sequence_of_fit()
        if self._saves:
            self._checkpoint.open(self._run)
        self._consumed = self._saved_batches = 0
        found = self._checkpoint.load(self.model)
        if found is None:
            self._sequence.epoch = 0
        else:
            self._sequence.seek(found.record["position"])  # refuses a foreign position before anything is changed
            self._checkpoint.restore(self.model, found, self._sequence.batch(0, 0)[0])
            self.model._initial_epoch = self._sequence.epoch
        self._due = self._sequence.epoch
        self._saved_at = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Check that Keras begins the epoch that is due."""
        self.model._initial_epoch = None  # or a later fit would begin here too
        if epoch != self._due:
            raise OptionError(
                f"ResumeTraining: fit begins epoch {epoch}, expected {self._due}. Leave out initial_epoch: it is "
                "taken from the folder."
            )
        self._consumed = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count the batch; save if it is time."""
        self._saved_batches += batch + 1 - self._consumed  # with steps_per_execution several at once
        self._consumed = batch + 1
        due = self._every_batches is not None and self._saved_batches >= self._every_batches
        due = due or (self._every_s is not None and time.monotonic() - self._saved_at >= self._every_s)
        if due:
            self._save()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Go on to the next epoch."""
        self._due = self._place()["epoch"]

    def on_train_end(self, logs: Any = None) -> None:
        """Save where training ended."""
        self._save()
        self._checkpoint.close()
        self.model._initial_epoch = None

    @property
    def _saves(self) -> bool:
        return self._sequence._plan.shard_index == 0

    def _place(self) -> dict[str, Any]:
        """Behind the last batch that this fit trained on, whatever else reads the Sequence."""
        return self._sequence.position() if self._run.current is None else self._sequence._behind(self._run.current)

    def _save(self) -> None:
        if self._saves:
            self._checkpoint.save(self.model, {"position": self._place()})
        self._saved_at, self._saved_batches = time.monotonic(), 0


def _sequence_of_fit() -> tuple[Sequence, KerasCall]:
    """The Sequence that the running fit reads, and its run: Keras shows callbacks neither the data nor its length."""
    fit = running_call()
    if fit is None:
        raise OptionError("ResumeTraining: no fit of Keras is running. Pass it to model.fit(callbacks=[...]).")
    if not isinstance(fit.data_adapter, Sequence):
        raise OptionError("ResumeTraining: fit isn't on a vaxseq.Sequence. Pass one, not wrapped in anything else.")
    if fit.steps_per_epoch:
        raise OptionError(
            f"ResumeTraining: got steps_per_epoch={fit.steps_per_epoch}, expected None: an epoch is a whole pass. "
            "Leave it out."
        )
    return fit.data_adapter, fit.data_adapter._run(fit)
