"""Processes that augment batches: arrays go there and back through shared memory, nothing of them is pickled."""

from __future__ import annotations

import logging
import pickle
import queue
import sys
import threading
import weakref
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any

import numpy as np
import numpy.typing as npt

from vaxseq.errors import OptionError
from vaxseq.training.augment_worker import Task, begin, flatten, ready, unflatten, work
from vaxseq.training.augmenting import Augment, Batch, Key
from vaxseq.training.shared_memory import Layout, Slab, lay

_log = logging.getLogger("vaxseq")
_AHEAD = 2  # tasks beside the ones at work: one that is read meanwhile, one that is handed out


class AugmentPool:
    """``workers`` processes, started when first asked, that run a function ``(batch, rng) -> batch``.

    They end with the object. When one of them dies, they are started anew for the next batches.
    ``tasks`` says how many calls of ``run`` at once keep all of them busy.

    Raises:
        OptionError: the function can't be found by another process.
    """

    def __init__(self, function: Augment, workers: int) -> None:
        _check_importable(function)
        self.workers, self.tasks = workers, workers + _AHEAD
        self._function = function
        self._lock = threading.Lock()
        self._crew = _Crew(function, workers, self.tasks)

    def run(self, batches: Sequence[Batch], keys: Sequence[Key]) -> list[Batch | Exception]:
        """The function's results on batches, each with the generator of its key, or the error in place of one.

        One process does them all. A result takes the place of its batch where it has its shape: arrays are changed.

        Raises:
            ProcessDiedError: the process did, and so did another one that had nothing else to do.
        """
        crew = self._crew
        try:
            return crew.run(batches, keys)
        except BrokenProcessPool:
            with self._lock:
                if self._crew is crew:
                    self._crew = _Crew(self._function, self.workers, self.tasks)
                    _log.warning("augment: a process of the pool died; starting anew")
        # All that was under way failed with it: once more, apart, so that only the batch at fault fails again.
        alone = _Crew(self._function, 1, 1)
        try:
            return alone.run(batches, keys)
        except BrokenProcessPool as error:
            raise ProcessDiedError(
                "a process of augment_workers was killed (short of memory?) or crashed, twice; if none could start, "
                "their own messages on standard error tell why: most often the program's start isn't below "
                'if __name__ == "__main__"'
            ) from error
        finally:
            alone.end()


class ProcessDiedError(RuntimeError):
    """A process of the pool ended while it had work."""


class _Crew:
    """The processes, from their start to their end, and the memory that they share with this one."""

    def __init__(self, function: Augment, workers: int, tasks: int) -> None:
        self._slabs = [Slab() for _ in range(tasks)]
        self._free: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in range(tasks):
            self._free.put(number)
        self._executor = ProcessPoolExecutor(
            workers, mp_context=get_context("spawn"), initializer=begin, initargs=(function, self._slabs)
        )
        self._workers, self._started, self._lock = workers, False, threading.Lock()
        self.end = weakref.finalize(self, self._executor.shutdown, wait=False, cancel_futures=True)

    def run(self, batches: Sequence[Batch], keys: Sequence[Key]) -> list[Batch | Exception]:
        """See the pool's."""
        number = self._free.get()
        try:
            slab = self._slabs[number]
            arrays: list[list[npt.NDArray[Any]]] = []
            tasks: list[Task] = []
            end = 0
            for batch, key in zip(batches, keys, strict=True):
                flat, form = flatten(batch)
                layouts, end = lay(flat, end)
                arrays.append(flat)
                tasks.append(Task(layouts, form, key))
            slab.bytes(end)
            for flat, task in zip(arrays, tasks, strict=True):
                for array, layout in zip(flat, task.layouts, strict=True):
                    slab.view(layout)[...] = array
            self._start()
            made = self._executor.submit(work, number, tasks, end).result()
            return [
                one if isinstance(one, Exception) else unflatten(_taken(slab, one, flat), task.form)
                for one, flat, task in zip(made, arrays, tasks, strict=True)
            ]
        finally:
            self._free.put(number)

    def _start(self) -> None:
        """All processes at once: an executor starts them one by one, as work comes."""
        with self._lock:
            if not self._started:
                self._started = True
                for _ in range(self._workers):
                    self._executor.submit(ready)


def _taken(slab: Slab, layouts: list[Layout], places: list[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
    """Results copied out of a slab: into the batch's own arrays, or into new ones if they have another shape."""
    taken = []
    for layout, place in zip(layouts, places, strict=True):
        view = slab.view(layout)
        if view.shape != place.shape:
            place = np.empty_like(view)
        place[...] = view
        taken.append(place)
    return taken


def _check_importable(function: Augment) -> None:
    name = getattr(function, "__qualname__", repr(function))
    try:
        pickled = pickle.dumps(function)
    except Exception as error:
        raise OptionError(
            f"augment_workers: processes can't import {name}: {error}. Give a function of a module, not a lambda or "
            "one inside another, or leave augment_workers out."
        ) from error
    main = sys.modules["__main__"]
    if b"__main__" in pickled and not hasattr(main, "__file__") and getattr(main, "__spec__", None) is None:
        raise OptionError(
            f"augment_workers: processes can't import {name}, which was made in a notebook or an interactive session. "
            "Put it into a file and import it, or leave augment_workers out."
        )
