"""A place in the training data, to be saved and taken up again, on any number of ranks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from vaxseq.errors import PositionError
from vaxseq.plan.plan import BatchPlan

_VERSION = 2
_READ = {
    "data": "data", "selection": "where, rows or on_missing", "features": "features", "examples": "window or store",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Position:
    """``item`` items of epoch ``epoch`` are consumed by all ranks together; the order is that of ``fingerprint``.

    ``read`` holds a fingerprint for each thing that decides what is read in that order.

    >>> plan = BatchPlan(100, 10, shuffle="global", seed=3)
    >>> place = Position.after(plan, epoch=2, batches=4)
    >>> epoch, rest = Position.from_dict(place.to_dict()).resume(plan)
    >>> epoch, rest.start_item, rest.num_batches
    (2, 40, 6)
    """

    epoch: int
    item: int
    n_items: int
    seed: int
    fingerprint: str
    read: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def after(cls, plan: BatchPlan, epoch: int, batches: int) -> Position:
        """Where training is after ``batches`` batches of ``plan`` in ``epoch``: the next epoch if none is left."""
        if not 0 <= batches <= plan.num_batches:
            raise PositionError(f"position: got {batches} batches, expected 0 to {plan.num_batches}")
        item = plan.consumed(batches)
        if batches == plan.num_batches:
            epoch, item = epoch + 1, 0
        return cls(epoch, item, plan.n_items, plan.seed, plan.fingerprint)

    def check(self, read: Mapping[str, str]) -> None:
        """Refuses to go on where other things are read.

        Raises:
            PositionError: naming what differs.
        """
        differs = [shown for name, shown in _READ.items() if self.read.get(name, "") != read.get(name, "")]
        if self.read and differs:
            raise PositionError(
                f"position: saved with other {', other '.join(differs)}; got a Sequence that reads something else than "
                "the one that saved it. Use what that one was made of, or start from epoch 0."
            )

    def resume(self, plan: BatchPlan) -> tuple[int, BatchPlan]:
        """The epoch to go on with, and the plan of what is left of it.

        ``plan`` may have another batch size, or be one of another number of ranks.

        Raises:
            PositionError: the plan's order isn't the one that the position was taken in.
        """
        for name, saved, now in (
            ("items", self.n_items, plan.n_items),
            ("seed", self.seed, plan.seed),
            ("order", self.fingerprint, plan.fingerprint),
        ):
            if saved != now:
                remedy = "Use the rows, shuffle, seed and balance of the run that saved it, or start from epoch 0."
                raise PositionError(f"position: saved with other {name}; got {now!r}, expected {saved!r}. {remedy}")
        rest = replace(plan, start_item=self.item)
        if rest.num_batches == 0 and self.item:  # under drop_remainder: what is left fills no batch
            return self.epoch + 1, replace(plan, start_item=0)
        return self.epoch, rest

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"version": _VERSION, **asdict(self), "read": dict(self.read)}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Position:
        """The position that ``to_dict`` wrote.

        Raises:
            PositionError: another version, or a field that is absent or of the wrong type.
        """
        if saved.get("version") not in (1, _VERSION):  # 1 held nothing of what is read
            raise PositionError(f"position: got version {saved.get('version')!r}, expected {_VERSION}")
        kinds: dict[str, type] = {"epoch": int, "item": int, "n_items": int, "seed": int, "fingerprint": str}
        for name, kind in kinds.items():
            value = saved.get(name)
            if not isinstance(value, kind) or isinstance(value, bool) or (kind is int and value < 0):  # type: ignore[operator]
                raise PositionError(f"position: {name}; got {value!r}, expected {kind.__name__}. Is the file damaged?")
        read = saved.get("read", {})
        if not isinstance(read, Mapping) or not all(isinstance(one, str) for pair in read.items() for one in pair):
            raise PositionError(f"position: read; got {read!r}, expected fingerprints by name. Is the file damaged?")
        return cls(**{name: saved[name] for name in kinds}, read=dict(read))
