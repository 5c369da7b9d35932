"""What every backend can do with a device: put batches there ahead, keep rows there, gather them."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Leaves = list[Any]  # a batch's arrays in a row
Places = npt.NDArray[np.int32]


class Placement(Protocol):
    """A device, or several among which a batch is divided. Two of one ``key`` hold rows alike; ``name`` is for people.

    What ``put`` and ``take`` give is on its way: they are called in a thread that works ahead, and ``hand`` in the one
    that trains makes arrays of it that may be used.
    """

    name: str
    key: Hashable

    def put(self, batches: Iterator[Leaves]) -> Iterator[Any]:
        """Batches in the host's memory, one after the other on their way to the device."""

    def hand(self, placed: Any) -> Leaves:
        """The arrays of a batch that was put or taken."""

    def room(self) -> int | None:
        """Bytes of the device's memory that are free; None where it doesn't tell."""

    def hold(self, parts: Iterator[Leaves], rows: int) -> Leaves:
        """Rows that come in parts, whole on the device (on each of several)."""

    def take(self, held: Leaves, places: list[Places]) -> Any:
        """Rows of each array that is held, by their places."""
