"""The stages of a Sequence, timed: a copy of its reader and program runs with a clock at each step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vaxseq.expressions.program import Program
from vaxseq.expressions.values import Value
from vaxseq.features.program.recipe import Recipe
from vaxseq.frame import Source
from vaxseq.loading.loader import Loaded, Loader
from vaxseq.loading.readers.frame import Arrays, FrameReader
from vaxseq.profile.measurement import Stage, StageKind
from vaxseq.profile.meters import Meter, Queue
from vaxseq.training.timed_fit import Insides, to_tensors

_PAGE = 4096


def measure_parts(inside: Insides, order: Callable[[int], Sequence[int]], seconds: float) -> tuple[Stage, ...]:
    """Loads batches in one thread for about so long; the stages of a batch, seconds per batch each.

    ``order`` gives the batch indexes of an epoch in the order in which they are to be read.
    """
    clocks = _Clocks()
    lazy = isinstance(inside.reader, FrameReader)
    recipe = _timed_recipe(inside.recipe, clocks) if lazy else inside.recipe
    reader = FrameReader(_TimedSource(inside.source, clocks), recipe) if lazy else inside.reader  # type: ignore[arg-type]
    timed = _TimedReader(reader, clocks.reader)
    loader = Loader(timed, inside.index, inside.plan, 0, _timed_finish(inside, clocks))
    for index in (inside.plan.num_batches - 1, 0):  # out of turn, so alone; JAX starts, and compiles for each shape
        to_tensors(loader.batch(0, index))
    clocks.clear()
    served, end = 0, time.perf_counter() + seconds
    for epoch, index in _walk(order):
        with clocks.loader:
            batch = loader.batch(epoch, index)
        with clocks.tensors:
            to_tensors(batch)
        served += 1
        if time.perf_counter() >= end:
            break
    return _stages(clocks, inside, served)


class _Clocks:
    """Seconds by piece of work."""

    def __init__(self) -> None:
        self.queue = Queue()
        self.made = 0
        self.loader, self.reader, self.finish, self.tensors = (Meter(self.queue) for _ in range(4))
        self.columns: dict[str, Meter] = {}
        self.nodes: dict[int, float] = {}

    def column(self, name: str) -> Meter:
        """The clock of a column."""
        if name not in self.columns:
            self.columns[name] = Meter(self.queue)
        return self.columns[name]

    def clear(self) -> None:
        for meter in (self.loader, self.reader, self.finish, self.tensors, *self.columns.values()):
            meter.clear()
        self.made = 0
        self.nodes.clear()


class _TimedSource:
    """A Source whose columns are read one by one, their pages touched, so that a fault counts where it belongs."""

    def __init__(self, source: Source, clocks: _Clocks) -> None:
        self._source, self._clocks = source, clocks
        self.empty, self.from_files = source.empty, source.from_files

    def read(self, names: Iterable[str], start: int, stop: int) -> dict[str, Value]:
        return self._each(names, lambda name: self._source.read([name], start, stop))

    def gather(self, names: Iterable[str], row_ids: npt.NDArray[np.int64]) -> dict[str, Value]:
        return self._each(names, lambda name: self._source.gather([name], row_ids))

    def _each(self, names: Iterable[str], read: Callable[[str], dict[str, Value]]) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for name in names:
            with self._clocks.column(name):
                found |= read(name)
                _touch(found[name])
        return found


def _touch(value: Value) -> None:
    data = value.data
    if isinstance(data, np.ndarray) and data.size and data.flags.c_contiguous:
        data.reshape(-1).view(np.uint8)[::_PAGE].max()


class _TimedReader:
    """A reader, timed as a whole."""

    def __init__(self, reader: Any, meter: Meter) -> None:
        self._reader, self._meter = reader, meter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    def read(self, *rows: Any, **options: Any) -> Arrays:
        with self._meter:
            arrays: Arrays = self._reader.read(*rows, **options)
        return arrays

    def gather(self, row_ids: npt.NDArray[np.int64], **options: Any) -> Arrays:
        with self._meter:
            arrays: Arrays = self._reader.gather(row_ids, **options)
        return arrays


def _timed_finish(inside: Insides, clocks: _Clocks) -> Callable[[Loaded], Any]:
    def finish(loaded: Loaded) -> Any:
        clocks.made += 1  # a chunk makes more batches than were handed out when time was up
        with clocks.finish:
            return inside.finish(loaded)

    return finish


def _timed_recipe(recipe: Recipe, clocks: _Clocks) -> Recipe:
    """The recipe with a clock around every function of its program."""

    def timed(slot: int, function: Callable[..., Value]) -> Callable[..., Value]:
        def run(*values: Value) -> Value:
            start = time.thread_time()  # its columns are in memory by now: it only computes
            value = function(*values)
            clocks.nodes[slot] = clocks.nodes.get(slot, 0.0) + time.thread_time() - start
            return value

        return run

    program = recipe.program
    calls = tuple((slot, timed(slot, function), arguments) for slot, function, arguments in program._calls)
    return replace(recipe, program=replace(program, _calls=calls))


def _walk(order: Callable[[int], Sequence[int]]) -> Iterator[tuple[int, int]]:
    epoch = 0
    while True:
        for index in order(epoch):
            yield epoch, index
        epoch += 1


def _stages(clocks: _Clocks, inside: Insides, served: int) -> tuple[Stage, ...]:
    each = 1 / max(1, clocks.made)
    lazy = isinstance(inside.reader, FrameReader)
    virtual = set(inside.source.frame().virtual_columns) if lazy else set()
    stages = []
    if lazy:
        for name, meter in clocks.columns.items():
            stages.append(
                Stage(
                    "virtual column" if name in virtual else "column", name, meter.own_s * each, meter.waited_s * each
                )
            )
        for name, spent in _by_feature(inside.recipe, clocks.nodes).items():
            stages.append(Stage("feature", name, spent * each, 0.0))
        inner = sum(meter.own_s for meter in clocks.columns.values()) + sum(clocks.nodes.values())
        stages.append(Stage("write", "", max(0.0, clocks.reader.own_s - inner) * each, 0.0))
    else:
        stages.append(
            Stage(
                "store" if inside.stored else "windows",
                "",
                clocks.reader.own_s * each,
                clocks.reader.waited_s * each,
            )
        )
    rest = clocks.loader.own_s - clocks.reader.own_s - clocks.finish.own_s
    stages.append(Stage("order", "", max(0.0, rest) * each, 0.0))
    finish = clocks.finish
    doing = "waiting for processes" if inside.processes else ""
    kind: StageKind = "augment" if inside.augmented else "batch"
    stages.append(Stage(kind, "", finish.own_s * each, finish.waited_s * each, doing))
    stages.append(Stage("tensors", "", clocks.tensors.own_s / served, 0.0))
    return tuple(stages)


def _by_feature(recipe: Recipe, nodes: dict[int, float]) -> dict[str, float]:
    """Seconds of each feature; a node that several features need is shared by them."""
    parts = [(field, part) for field in recipe.fields for part in field.parts]
    needs = {(field.role, field.name, part.name): _slots(recipe.program, part.output) for field, part in parts}
    users: dict[int, int] = {}
    for slots in needs.values():
        for slot in slots:
            users[slot] = users.get(slot, 0) + 1
    spent: dict[str, float] = {}
    for (role, field, part), slots in needs.items():
        name = part if role == "input" else f"{role} {field}"
        spent[name] = spent.get(name, 0.0) + sum(nodes.get(slot, 0.0) / users[slot] for slot in slots)
    return spent


def _slots(program: Program, output: int) -> set[int]:
    arguments = {slot: others for slot, _, others in program._calls}
    stack = [program._outputs[output]]
    found: set[int] = set()
    while stack:
        slot = stack.pop()
        if slot not in found:
            found.add(slot)
            stack.extend(arguments.get(slot, ()))
    return found
