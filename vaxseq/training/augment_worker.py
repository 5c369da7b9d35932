"""A process of the augment pool: it augments batches where they lie, in memory that it shares with its parent."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import traceback
from collections.abc import Iterator
from multiprocessing import parent_process
from multiprocessing.connection import wait
from typing import Any, NamedTuple

from vaxseq.training.augmenting import Augment, Batch, Key, augmented
from vaxseq.training.shared_memory import Layout, Slab, lay

Form = list[Any]  # of a batch: for each part None, a dict's names, or True


class Task(NamedTuple):
    """A batch that lies in a slab, and the key of its random generator."""

    layouts: list[Layout]
    form: Form
    key: Key


class _Worker(NamedTuple):
    function: Augment
    slabs: list[Slab]


_worker: _Worker | None = None


def begin(function: Augment, slabs: list[Slab]) -> None:
    """What a process starts with."""
    global _worker  # noqa: PLW0603 - what a pool's initializer is for
    _worker = _Worker(function, slabs)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which ends its processes
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Nothing else tells a process of a pool that its parent was killed: it would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def ready() -> None:
    """Nothing; that it was done tells that the process is up."""


def work(number: int, tasks: list[Task], end: int) -> list[list[Layout] | Exception]:
    """Augments batches that lie in a slab, up to ``end``; where each result lies, or why there is none."""
    assert _worker is not None
    slab = _worker.slabs[number]
    made: list[list[Layout] | Exception] = []
    for task in tasks:
        try:
            batch = unflatten([slab.view(one) for one in task.layouts], task.form)
            arrays, _ = flatten(augmented(_worker.function, batch, task.key))
        except Exception as error:  # noqa: BLE001 - it is the user's, and is raised in the parent
            made.append(_portable(error))
            continue
        layouts, end = _keep(slab, arrays, end)
        made.append(layouts)
    return made


def _keep(slab: Slab, arrays: list[Any], end: int) -> tuple[list[Layout], int]:
    """Where the arrays lie: one that was changed in place stays there, any other is put behind what is there."""
    whole = slab.bytes(end)
    first = whole.ctypes.data
    inside = [first <= array.ctypes.data < first + end for array in arrays]
    new = [array for array, here in zip(arrays, inside, strict=True) if not here]
    places, stop = lay(new, end)
    slab.bytes(stop)
    for place, array in zip(places, new, strict=True):
        slab.view(place)[...] = array
    rest = iter(places)
    return [
        (array.ctypes.data - first, array.shape, array.dtype.str) if here else next(rest)
        for array, here in zip(arrays, inside, strict=True)
    ], stop


def _portable(error: Exception) -> Exception:
    """The error with its traceback in words, as itself if it can be sent."""
    note = "in a process of augment_workers:\n" + "".join(traceback.format_exception(error))
    try:
        sent: Exception = pickle.loads(pickle.dumps(error))  # noqa: S301 - made in the line itself
    except Exception:  # noqa: BLE001 - a class of the user's that pickle can't make again
        sent = RuntimeError(f"{type(error).__name__}: {error}")
    sent.add_note(note)
    return sent


def flatten(batch: Batch) -> tuple[list[Any], Form]:
    """The arrays of a batch in a row, and the form that puts them together again."""
    arrays: list[Any] = []
    form: Form = []
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


def unflatten(arrays: list[Any], form: Form) -> Batch:
    """A batch from its arrays."""
    rest: Iterator[Any] = iter(arrays)
    return tuple(
        None if one is None else {name: next(rest) for name in one} if isinstance(one, list) else next(rest)
        for one in form
    )
