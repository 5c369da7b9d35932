"""A Sequence's batches on the device before they're asked for: copied there ahead, or gathered from rows held there."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from vaxseq.errors import OptionError
from vaxseq.training.ahead import ahead
from vaxseq.training.augment_worker import Form, flatten, unflatten
from vaxseq.training.batches import Batch
from vaxseq.training.devices import Placement, placement_of
from vaxseq.training.epochs import Pass
from vaxseq.training.resident import Resident

_AHEAD, _AHEAD_BYTES = 2, 256 << 20  # batches on the device beside the one in use; one, if two are larger

Batches = Iterator[Batch]


class DeviceFeed:
    """``device`` as the Sequence's option says; ``resident`` are the rows that are kept there."""

    def __init__(self, device: Any = None, resident: Resident | None = None) -> None:
        self.device, self.resident = device, resident
        self._named: str | None = None if device is None else str(device)  # what a pass found, when one has begun

    def for_keras(self) -> Placement | None:
        """Where the pass that begins in this thread has its batches; None in the host's memory.

        Raises:
            OptionError: there is no such device, or rows are to be kept on one where Keras divides batches by itself.
        """
        found = None if self.device is None else placement_of(self.device, cpu=self.resident is not None)
        if found is None:
            self.refuse_division()
        self._named = None if found is None else found.name
        return found

    def refuse_division(self) -> None:
        """For a pass whose batches Keras takes in the host's memory, and divides.

        Raises:
            OptionError: rows are to be kept on the device.
        """
        if self.resident is not None:
            raise OptionError(
                "store='device': got a tf.distribute.Strategy, several processes of JAX, or a backend without devices, "
                "to which batches go from the host's memory. Leave store= out."
            )
        self._named = None

    def for_loops(self) -> Placement | None:
        """The same for a loop of somebody's own, whose batches are the host's unless the device was named."""
        return None if self.device in (None, "auto") and self.resident is None else self.for_keras()

    @staticmethod
    def count(batch_bytes: int) -> int:
        """Batches ahead."""
        return max(1, min(_AHEAD, _AHEAD_BYTES // max(1, batch_bytes)))

    def device_bytes(self, batch_bytes: int) -> int:
        """Held on the device beside the batch in use, as far as is known."""
        if self._named is None or self._untold:
            return 0
        kept = 0 if self.resident is None else self.resident.nbytes
        return kept + self.count(batch_bytes) * batch_bytes

    def said(self, batch_bytes: int) -> str | None:
        """In words: the option, and what was found once a pass has begun; None in the host's memory, or not known yet.

        Asks no backend: to be asked is what starts one.
        """
        if self._named is None or self._untold:
            return None
        count = self.count(batch_bytes)
        what = f"{count} {'batch' if count == 1 else 'batches'} ahead"
        return f"{self._named}, {what}" + (", gathered from all rows there" if self.resident is not None else "")

    @property
    def _untold(self) -> bool:
        return self._named == "auto" and self.resident is None

    def batches(
        self, one: Pass, placement: Placement, made: Callable[[], Batches], change: Callable[[Batches], Batches]
    ) -> Batches:
        """The batches of a pass as they are used: on the device.

        Args:
            one: the pass.
            placement: where they go.
            made: gives its batches in the host's memory.
            change: what is still to be done to them.
        """
        plan = one.part.plan
        count = self.count(plan.batch_size * one.part.loader.row_bytes)
        if self.resident is not None:
            resident = self.resident
            placed = ahead(resident.batches(plan, one.epoch, placement), count)
            form = resident.form(plan, placement)
            return change(unflatten(placement.hand(leaves), form) for leaves in placed)
        forms: deque[Form] = deque()

        def leaves_of() -> Iterator[list[Any]]:
            for batch in change(made()):
                leaves, form = flatten(batch)
                forms.append(form)
                yield leaves

        placed = ahead(placement.put(leaves_of()), count)
        return (unflatten(placement.hand(leaves), forms.popleft()) for leaves in placed)


def check_resident(augment: Any, device: Any) -> None:
    """What can't be together with rows that are kept on the device.

    Raises:
        OptionError: naming it.
    """
    if augment is not None:
        raise OptionError("store='device': got augment, which changes batches in the host's memory. Leave one out.")
    if device is None:
        raise OptionError("store='device': got device=None, expected a device. Leave device= out.")
