"""Processes that augment batches: arrays go there and back through shared memory, nothing is pickled."""

from __future__ import annotations

import queue
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np

Batch = tuple[Any, ...]
Layout = list[tuple[int, tuple[int, ...], str]]  # offset, shape and dtype of each array in a slot

_ALIGN = 64
_ROOM = 2  # a result may be larger than its batch by this much without a slot of its own

_function: Any = None
_slots: dict[str, SharedMemory] = {}


class AugmentPool:
    """``workers`` processes, started when first asked, that run a function ``(batch, rng) -> batch``.

    The function must be importable by name: one of a module, not a lambda. Processes end with the object.
    """

    def __init__(self, function: Any, workers: int) -> None:
        self._executor = ProcessPoolExecutor(
            workers, mp_context=get_context("spawn"), initializer=_begin, initargs=(function,)
        )
        self._free: queue.SimpleQueue[_Slot] = queue.SimpleQueue()
        self._all: list[_Slot] = []
        for _ in range(workers):
            slot = _Slot()
            self._all.append(slot)
            self._free.put(slot)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="vaxseq-augment")
        weakref.finalize(self, _end, self._executor, self._threads, self._all)

    def run(self, batch: Batch, key: tuple[int, ...]) -> Batch:
        """The function's result on a batch, with the generator of ``key``; waits for a process to be free."""
        slot = self._free.get()
        try:
            arrays, form = _flatten(batch)
            layout, size = _layout(arrays)
            slot.reserve(size * _ROOM)
            for array, (offset, shape, dtype) in zip(arrays, layout, strict=True):
                _view(slot.memory, offset, shape, dtype)[...] = array
            made, rest = self._executor.submit(_augment, slot.memory.name, layout, form, key).result()
            if rest is not None:
                return _unflatten(rest, form)
            return _unflatten([np.array(_view(slot.memory, *one)) for one in made], form)
        finally:
            self._free.put(slot)

    def map(self, finish: Callable[[Any], Any], loaded: Sequence[Any]) -> list[Any]:
        """Finish several batches, as many at once as there are processes."""
        return list(self._threads.map(finish, loaded))


class _Slot:
    """A piece of shared memory that grows when a batch needs more."""

    def __init__(self) -> None:
        self._memory: SharedMemory | None = None

    @property
    def memory(self) -> SharedMemory:
        assert self._memory is not None
        return self._memory

    def reserve(self, size: int) -> None:
        if self._memory is None or self._memory.size < size:
            self.close()
            self._memory = SharedMemory(create=True, size=max(size, _ALIGN))

    def close(self) -> None:
        if self._memory is not None:
            self._memory.close()
            self._memory.unlink()
            self._memory = None


def _end(executor: ProcessPoolExecutor, threads: ThreadPoolExecutor, slots: list[_Slot]) -> None:
    threads.shutdown(wait=False, cancel_futures=True)
    executor.shutdown(wait=True, cancel_futures=True)
    for slot in slots:
        slot.close()


def _begin(function: Any) -> None:
    global _function  # noqa: PLW0603 - what a pool's initializer is for
    _function = function


def _augment(name: str, layout: Layout, form: Any, key: tuple[int, ...]) -> tuple[Layout, list[Any] | None]:
    """In a process of the pool: augment the batch that lies in a slot, in its place if there is room."""
    from vaxseq.training.augment import checked, shapes_of

    memory = _slots.get(name)
    if memory is None:
        memory = _slots[name] = SharedMemory(name=name)
    batch = _unflatten([_view(memory, *one) for one in layout], form)
    expected = shapes_of(batch)
    arrays, _ = _flatten(checked(_function(batch, np.random.default_rng(key)), expected))
    made, size = _layout(arrays)
    if size > memory.size:
        return [], [np.array(array) for array in arrays]
    places = [_view(memory, *one) for one in made]
    moves = [
        (place, array) for place, array in zip(places, arrays, strict=True) if place.ctypes.data != array.ctypes.data
    ]
    whole = _view(memory, 0, (memory.size,), "u1")
    for place, array in [(place, np.array(one) if np.may_share_memory(one, whole) else one) for place, one in moves]:
        place[...] = array
    return made, None


def _view(memory: SharedMemory, offset: int, shape: tuple[int, ...], dtype: str) -> np.ndarray[Any, Any]:
    return np.ndarray(shape, np.dtype(dtype), memory.buf, offset)


def _layout(arrays: list[Any]) -> tuple[Layout, int]:
    layout, at = [], 0
    for array in arrays:
        layout.append((at, array.shape, array.dtype.str))
        at += -(-array.nbytes // _ALIGN) * _ALIGN
    return layout, at


def _flatten(batch: Batch) -> tuple[list[Any], Any]:
    """The arrays of a batch in a row, and the form that puts them together again."""
    arrays: list[Any] = []
    form: list[Any] = []
    for part in batch:
        if part is None:
            form.append(None)
        elif isinstance(part, dict):
            form.append(list(part))
            arrays.extend(part.values())
        else:
            form.append(True)
            arrays.append(part)
    return arrays, form


def _unflatten(arrays: list[Any], form: Any) -> Batch:
    rest: Iterator[Any] = iter(arrays)
    return tuple(
        None if one is None else {name: next(rest) for name in one} if isinstance(one, list) else next(rest)
        for one in form
    )
