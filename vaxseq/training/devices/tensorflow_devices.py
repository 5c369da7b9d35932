"""TensorFlow: several batches get to the device at once, and are cut into batches there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from vaxseq.dataset.memory_limit import memory_room
from vaxseq.errors import OptionError
from vaxseq.training.devices.placement import Leaves, Places
from vaxseq.training.joined_batches import joined


def placement(device: Any, cpu: bool) -> TensorFlowDevice | None:
    """See `placement_of`."""
    if device == "auto":
        works_on = tf.zeros(()).device.rpartition("device:")[2].lower()
        return None if works_on.startswith("cpu") and not cpu else TensorFlowDevice(works_on)
    name = device.replace("cuda", "gpu")
    name = name if ":" in name else f"{name}:0"
    known = [one.name.rpartition("device:")[2].lower() for one in tf.config.list_logical_devices()]
    if name not in known:
        raise OptionError(f"device: got {device!r}; TensorFlow knows {', '.join(known)}")
    return TensorFlowDevice(name)


class TensorFlowDevice:
    """A device by its name. TensorFlow keeps whole numbers of 32 bits in the host's memory by itself."""

    def __init__(self, name: str) -> None:
        self.name = self.key = name

    def put(self, batches: Iterator[Leaves]) -> Iterator[Any]:
        """See `Placement`."""
        for size, arrays in joined(batches):
            rows = len(arrays[0])
            sizes = [size] * (rows // size) + ([rows % size] if rows % size else [])
            with tf.device(self.name):
                cut = [tf.split(tf.convert_to_tensor(array), sizes) for array in arrays]
            yield from (list(batch) for batch in zip(*cut, strict=True))

    def hand(self, placed: Any) -> Leaves:
        """See `Placement`; TensorFlow itself waits where a step needs what isn't there yet."""
        arrays: Leaves = placed
        return arrays

    def room(self) -> int | None:
        """See `Placement`; of others than the processor TensorFlow doesn't tell."""
        return memory_room() if self.name.startswith("cpu") else None

    def hold(self, parts: Iterator[Leaves], rows: int) -> Leaves:
        """See `Placement`; each part is written in the place, so that nothing is there twice.

        A variable would be copied as its first part is assigned.
        """
        held: Leaves = []
        start = 0
        with tf.device(self.name):
            for part in parts:
                leaves = [tf.convert_to_tensor(leaf) for leaf in part]
                if not held:
                    held = [tf.raw_ops.Empty(shape=(rows, *leaf.shape[1:]), dtype=leaf.dtype) for leaf in leaves]
                places = tf.range(start, start + len(part[0]))
                for number, leaf in enumerate(leaves):
                    held[number] = tf.raw_ops.InplaceUpdate(x=held[number], i=places, v=leaf)
                start += len(part[0])
        return held

    def take(self, held: Leaves, places: list[Places]) -> Any:
        """See `Placement`."""
        with tf.device(self.name):
            put = {id(one): tf.convert_to_tensor(one) for one in places}  # mostly the same for all
            return [tf.gather(kept, put[id(one)]) for kept, one in zip(held, places, strict=True)]
