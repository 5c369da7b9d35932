"""PyTorch: a CUDA device gets batches out of pinned memory on a stream of their own, beside the one that trains."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any

import torch

from vaxseq.dataset.memory_limit import memory_room
from vaxseq.errors import OptionError
from vaxseq.training.backend import keras
from vaxseq.training.devices.placement import Leaves, Places


def placement(device: Any, cpu: bool) -> TorchDevice | None:
    """See `placement_of`."""
    if device == "auto":
        works_on = str(keras.ops.zeros(()).device)
        return None if works_on == "cpu" and not cpu else _placement(works_on)
    name = device.replace("gpu", "cuda")
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:  # AssertionError: a build without CUDA
        raise OptionError(f"device: got {device!r}, which PyTorch doesn't have ({error})") from error
    return _placement(name)


@lru_cache(maxsize=8)
def _placement(name: str) -> TorchDevice:
    return TorchDevice(torch.device(name))


class TorchDevice:
    """A device, and with CUDA the stream that copies and gathers."""

    def __init__(self, device: Any) -> None:
        self.name = self.key = str(device)
        self._device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def put(self, batches: Iterator[Leaves]) -> Iterator[Any]:
        """See `Placement`."""
        for leaves in batches:
            with self._aside():
                placed = self._marked([self._copied(leaf) for leaf in leaves])
            yield placed

    def hand(self, placed: Any) -> Leaves:
        """See `Placement`: the stream that trains waits for the copy, this thread doesn't."""
        leaves: Leaves
        leaves, copied = placed
        if copied is not None:
            training = torch.cuda.current_stream(self._device)
            training.wait_event(copied)
            for leaf in leaves:
                leaf.record_stream(training)  # or its memory would be used again while a step reads it
        return leaves

    def room(self) -> int | None:
        """See `Placement`."""
        if self._device.type == "cpu":
            return memory_room()
        return int(torch.cuda.mem_get_info(self._device)[0]) if self._stream is not None else None

    def hold(self, parts: Iterator[Leaves], rows: int) -> Leaves:
        """See `Placement`; each part is written in the place, so that nothing is there twice."""
        held: Leaves = []
        start = 0
        with self._aside():
            for part in parts:
                leaves = [torch.as_tensor(leaf) for leaf in part]
                if not held:
                    held = [
                        torch.empty((rows, *leaf.shape[1:]), dtype=leaf.dtype, device=self._device) for leaf in leaves
                    ]
                for into, leaf in zip(held, leaves, strict=True):
                    into[start : start + len(leaf)].copy_(leaf)
                start += len(leaves[0])
        return held

    def take(self, held: Leaves, places: list[Places]) -> Any:
        """See `Placement`."""
        with self._aside():
            put = {id(one): self._copied(one) for one in places}  # mostly the same for all
            return self._marked([kept.index_select(0, put[id(one)]) for kept, one in zip(held, places, strict=True)])

    def _copied(self, leaf: Any) -> Any:
        tensor = torch.as_tensor(leaf)
        if self._stream is None:
            return tensor.to(self._device)
        return tensor.pin_memory().to(self._device, non_blocking=True)

    def _marked(self, leaves: Leaves) -> tuple[Leaves, Any]:
        return leaves, None if self._stream is None else self._stream.record_event()

    def _aside(self) -> AbstractContextManager[Any]:
        return nullcontext() if self._stream is None else torch.cuda.stream(self._stream)
