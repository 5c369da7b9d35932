"""``ResumeTraining``: a Keras callback that saves the model and how far training is, and goes on from there."""

from __future__ import annotations

import os
import time
import warnings
from typing import Any

import keras

from vaxseq.errors import OptionError
from vaxseq.plan.position import Position
from vaxseq.training.checkpoint import Checkpoint
from vaxseq.training.passes import last_asked
from vaxseq.training.sequence import Sequence

_RAN_OUT = "Your input ran out of data"  # what Keras says of the shorter, resumed epoch


class ResumeTraining(keras.callbacks.Callback):
    """Makes a fit on a Sequence resumable to the batch: run the same script again after a kill.

    It saves the model's weights, the optimizer, the states of random layers, the epoch, and the batches that were
    trained on (not those that were read ahead). Other callbacks' states and an epoch's running metrics aren't saved:
    the metrics of a resumed epoch are those of its rest. While it is there, batches come in the Sequence's own order,
    whatever fit's ``shuffle`` is. When training is over, running the script again trains nothing more.

    Args:
        folder: where to save; one for each training. Of several ranks each saves into a folder of its own.
        every_batches: save when so many batches were trained on since the last save.
        every_s: save when so many seconds have passed since the last save. Without either: every 60 seconds.
        sequence: what fit trains on, if it can't be told: when the Sequence is wrapped in something else.

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
        sequence: Sequence | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("every_batches", every_batches), ("every_s", every_s)):
            if value is not None and not value > 0:
                raise OptionError(f"{name}: got {value!r}, expected more than 0")
        self._every_batches = every_batches
        self._every_s = 60.0 if every_batches is None and every_s is None else every_s
        self._checkpoint = Checkpoint(folder)
        self._given = sequence

    def on_train_begin(self, logs: Any = None) -> None:
        """Put the model and the Sequence where the last save left them."""
        self._sequence = self._find()
        passes = self._sequence._passes
        steps = (self.params or {}).get("steps")
        if steps not in (passes.whole.plan.num_batches, passes.current.plan.num_batches):
            raise OptionError(
                f"ResumeTraining: fit trains {steps} batches an epoch, expected the Sequence's "
                f"{passes.whole.plan.num_batches}. Leave out steps_per_epoch, or name the Sequence: sequence=."
            )
        passes.serve_in_turn = True
        self._quiet: Any = None
        self._consumed = self._shift = 0
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
            if passes.current is not passes.whole:
                self._quiet = _ignore_running_out()
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
        self._sequence._passes.trained(0)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count the batch; save if it is time."""
        passes = self._sequence._passes
        plan = passes.of(self._epoch).plan
        consumed = min(batch + 1, plan.num_batches)  # with steps_per_execution several at once
        self._saved_batches += consumed - self._consumed
        self._consumed = consumed
        if passes.latch.reads == 0 or passes.latch.epoch < self._epoch:
            raise OptionError("ResumeTraining: fit doesn't train on this Sequence. Name the one it does: sequence=.")
        passes.trained(consumed)
        due = self._every_batches is not None and self._saved_batches >= self._every_batches
        due = due or (self._every_s is not None and time.monotonic() - self._saved_at >= self._every_s)
        if due:
            self._save(Position.after(plan, self._epoch, consumed))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Go on to the next epoch."""
        self._end_quiet()
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
        self._end_quiet()

    def _save(self, position: Position) -> None:
        self._checkpoint.save(self.model, {"position": position.to_dict()})
        self._saved_at, self._saved_batches = time.monotonic(), 0

    def _find(self) -> Sequence:
        found = last_asked() if self._given is None else self._given
        if not isinstance(found, Sequence):
            raise OptionError("ResumeTraining: fit isn't on a vaxseq.Sequence. Name it if it is wrapped: sequence=.")
        return found

    def _end_quiet(self) -> None:
        if self._quiet is not None and self._quiet in warnings.filters:
            warnings.filters.remove(self._quiet)  # type: ignore[attr-defined]
        self._quiet = None


def _ignore_running_out() -> Any:
    """Add a filter for that one warning of Keras; the filter, to be taken out again."""
    warnings.filterwarnings("ignore", message=_RAN_OUT)
    return warnings.filters[0]
