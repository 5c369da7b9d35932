"""JAX: ``device_put`` begins a copy, which goes on by itself; under a distribution each device gets its share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import jax
import numpy as np

from vaxseq.dataset.memory_limit import memory_room
from vaxseq.errors import OptionError
from vaxseq.training.backend import keras
from vaxseq.training.devices.placement import Leaves, Places


def placement(device: Any, cpu: bool) -> JaxDevices | None:
    """See `placement_of`."""
    if isinstance(device, jax.sharding.Sharding):
        return JaxDevices(str(device), lambda _: device, _replicated(device))
    distribution = keras.distribution.distribution()
    if distribution is not None and getattr(distribution, "_is_multi_process", False):
        return None  # of the batches of all processes Keras makes global arrays, and takes each process's as NumPy's
    works_on = next(iter(jax.numpy.zeros(()).devices()))
    if device == "auto" and works_on.platform == "cpu" and not cpu:
        return None
    if distribution is not None:

        def layout(shape: tuple[int, ...]) -> Any:
            return distribution.get_data_layout(shape).backend_layout

        mesh = distribution.device_mesh.backend_mesh
        replicated = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
        return JaxDevices(f"{mesh.size} {works_on.platform} devices", layout, replicated)
    target = works_on if device == "auto" else _named(device)
    name = f"{target.platform}:{target.id}"
    if device == "auto" and target == jax.local_devices()[0]:
        target = None  # where arrays go that may still follow others elsewhere; a device's name would bind them to it
    return JaxDevices(name, lambda _: target, target)


class JaxDevices:
    """Where arrays of a shape go, by ``target``; what is held goes ``whole`` to all of the devices."""

    def __init__(self, name: str, target: Callable[[tuple[int, ...]], Any], whole: Any) -> None:
        self.name, self._target, self._whole = name, target, whole
        self.key = name, whole  # what a mesh is called doesn't say which devices it has

    def put(self, batches: Iterator[Leaves]) -> Iterator[Any]:
        """See `Placement`."""
        for leaves in batches:
            yield [self._put(leaf) for leaf in leaves]

    def hand(self, placed: Any) -> Leaves:
        """See `Placement`; JAX itself waits where a step needs what isn't there yet."""
        arrays: Leaves = placed
        return arrays

    def room(self) -> int | None:
        """See `Placement`."""
        found = next(iter(jax.device_put(np.zeros(()), self._whole).devices()))
        if found.platform == "cpu":
            return memory_room()
        stats = found.memory_stats() or {}
        return stats["bytes_limit"] - stats["bytes_in_use"] if "bytes_limit" in stats else None

    def hold(self, parts: Iterator[Leaves], rows: int) -> Leaves:
        """See `Placement`; each part is written in the place, so that nothing is there twice."""
        held: Leaves = []
        start = 0
        for part in parts:
            if not held:
                held = [
                    jax.device_put(jax.numpy.zeros((rows, *leaf.shape[1:]), _dtype(leaf)), self._whole) for leaf in part
                ]
            jax.block_until_ready(held)  # else all parts may be on their way at once
            put = [jax.device_put(np.asarray(leaf), self._whole) for leaf in part]
            held = [_written(into, leaf, start) for into, leaf in zip(held, put, strict=True)]
            start += len(part[0])
        return held

    def take(self, held: Leaves, places: list[Places]) -> Any:
        """See `Placement`."""
        put = {id(one): self._put(one) for one in places}  # mostly the same for all
        return [self._taker(len(one), kept)(kept, put[id(one)]) for kept, one in zip(held, places, strict=True)]

    def _put(self, leaf: Any) -> Any:
        target = self._target(leaf.shape)
        if isinstance(target, jax.sharding.Sharding):
            return jax.make_array_from_process_local_data(target, np.asarray(leaf))
        return jax.device_put(leaf, target)

    def _taker(self, rows: int, kept: Any) -> Callable[[Any, Any], Any]:
        target = self._target((rows, *kept.shape[1:]))
        return _take(target if isinstance(target, jax.sharding.Sharding) else None)


@lru_cache(maxsize=32)
def _take(sharding: Any) -> Callable[[Any, Any], Any]:
    def take(kept: Any, places: Any) -> Any:
        return jax.numpy.take(kept, places, axis=0, mode="clip")

    made: Callable[[Any, Any], Any] = jax.jit(take, out_shardings=sharding)
    return made


def _written(held: Any, part: Any, start: int) -> Any:
    return _write()(held, part, (start, *(0 for _ in part.shape[1:])))


@lru_cache(maxsize=1)
def _write() -> Callable[[Any, Any, Any], Any]:
    made: Callable[[Any, Any, Any], Any] = jax.jit(jax.lax.dynamic_update_slice, donate_argnums=0)
    return made


def _dtype(leaf: Any) -> Any:
    return jax.dtypes.canonicalize_dtype(leaf.dtype)


def _named(device: str) -> Any:
    platform, _, number = device.partition(":")
    try:
        return jax.local_devices(backend=platform)[int(number or 0)]
    except (RuntimeError, IndexError) as error:
        known = ", ".join(f"{one.platform}:{one.id}" for one in jax.local_devices())
        raise OptionError(f"device: got {device!r}; JAX knows {known}") from error


def _replicated(sharding: Any) -> Any:
    if not isinstance(sharding, jax.sharding.NamedSharding):
        return sharding
    return jax.sharding.NamedSharding(sharding.mesh, jax.sharding.PartitionSpec())
