"""One call of fit, evaluate or predict on a Sequence: which passes it is given, and what its arguments ask for."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial

from vaxseq.errors import OptionError
from vaxseq.training.batches import Batch
from vaxseq.training.epochs import Epochs, Pass
from vaxseq.training.joining import Joining
from vaxseq.training.keras_internals import (
    PassRequest,
    expect,
    goes_on,
    has_default_step,
    refuse_auto_sharding,
    steps_taken,
    weights_of_classes,
)

_log = logging.getLogger("vaxseq")


class KerasCall:
    """The passes of one call. A fit's epochs follow each other, whatever else is read between them.

    Args:
        epochs: where passes come from.
        joining: is told of passes that make predictions.
        has_targets: whether batches hold targets.
    """

    def __init__(self, epochs: Epochs, joining: Joining, *, has_targets: bool) -> None:
        self._epochs, self._joining, self._has_targets = epochs, joining, has_targets
        self._checked = self._begun = False
        self._class_weight: dict[int, float] | None = None
        self.looks = self.evaluates = False
        self.current: Pass | None = None

    def begin(self, asked: PassRequest) -> None:
        """Keras begins one of its epochs, to look at a batch, to evaluate or to train.

        Raises:
            OptionError: an argument of the call that a Sequence has no use for.
        """
        self.check(asked)
        self.looks = asked.purpose == "look"
        if self.looks:
            return
        self.evaluates = asked.purpose in ("evaluate", "predict")
        if self.evaluates:
            self.current = self._epochs.evaluation()
            if asked.purpose == "predict":
                self._joining.predicts()
        elif self.current is None or not goes_on(asked.iterator):
            first = None if self._begun else asked.argument("initial_epoch")
            epoch = asked.argument("epoch") if first else None
            after = self.current.epoch if self.current is not None else None
            self.current = self._epochs.begin(epoch, after=after)
            self.current.taken = partial(steps_taken, asked.iterator)
        self._begun = True
        expect(asked.iterator, self.current.part.plan.num_batches)

    @property
    def has_class_weight(self) -> bool:
        """Whether fit was given weights of classes."""
        return self._class_weight is not None

    def weighed(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The batches with the weights that fit's ``class_weight`` asks for."""
        return batches if self._class_weight is None else map(self._weighed, batches)

    def _weighed(self, batch: Batch) -> Batch:
        if len(batch) != 2 or isinstance(batch[1], dict):
            raise OptionError(
                "fit(class_weight=): expected batches of inputs and one target, without weights. Give class_weight "
                "to the Sequence."
            )
        return *batch, weights_of_classes(batch[1], self._class_weight or {})

    def check(self, asked: PassRequest) -> None:
        """Refuses arguments that a Sequence has no use for, and takes note of the others.

        Raises:
            OptionError: naming the argument.
        """
        if self._checked:
            return
        self._checked = True
        refuse_auto_sharding()
        call = asked.called
        for name in ("y", "sample_weight"):
            if call in ("fit", "evaluate") and asked.argument(name) is not None:
                raise OptionError(f"{call}({name}=): a Sequence's batches hold it already. Leave it out.")
        if call == "fit":
            self._class_weight = asked.argument("class_weight")
            if not self._has_targets and has_default_step(asked.argument("self")):
                raise OptionError("fit: the Sequence has no targets to compute a loss of. Give it targets=.")
            self._hint(asked)
        elif call == "evaluate" and not self._has_targets and has_default_step(asked.argument("self")):
            raise OptionError("evaluate: the Sequence has no targets to compare with. Give it targets=, or predict.")

    def _hint(self, asked: PassRequest) -> None:
        """Keras permutes a PyDataset's batches by default; a Sequence's order is its own."""
        plan = self._epochs.whole.plan
        if asked.argument("shuffle") and plan.in_order and plan.num_batches > 1 and not self._epochs.hinted:
            self._epochs.hinted = True
            _log.warning(
                "fit trains in the data's order: a Sequence's order is its own, whatever fit's shuffle= is. "
                "Give it shuffle='global' or 'block' to shuffle."
            )
