"""One pass over a unit of training rows: the learners and counts that a scan asks for, block by block.

A scan is a plain description, so that another process can do any unit of it and send the learners back.
"""

from __future__ import annotations

import graphlib
import math
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from vaxseq.dataset.processes import end_with_parent
from vaxseq.errors import ColumnNotFoundError, DefinitionError, FeatureTypeError, FitError, VaxseqError, did_you_mean
from vaxseq.expressions import compile_expression, selection_mask
from vaxseq.expressions.program import Program, ProgramBuilder
from vaxseq.expressions.values import Mask, Value
from vaxseq.features.learners.base import Learner, Rows
from vaxseq.features.learning.fit_plan import FitPlan
from vaxseq.features.transforms.chain import compile_steps

# Sums are made by block, then merged: their bits depend on these numbers and the columns' shapes alone.
BLOCK_ROWS = 65_536
BLOCK_ELEMENTS = 1 << 22  # of array columns a block has fewer rows, a power of two
UNIT_ROWS = 1_048_576


class RowSource(Protocol):
    """What a fit needs of a frame's Source."""

    @property
    def n_rows(self) -> int: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    def read(self, names: Any, start: int, stop: int) -> dict[str, Value]: ...
    def empty(self, names: Any) -> dict[str, Value]: ...
    def filter_mask(self, start: int, stop: int) -> Mask | None: ...
    def spec(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Request:
    """A step to learn, from the chain's value before step ``before`` (earlier than the step where it folds)."""

    chain: int
    step: int
    before: int

    @property
    def folds(self) -> bool:
        return self.before < self.step


@dataclass(frozen=True, slots=True)
class Scan:
    """What one pass does: ``learned`` holds, per chain, the learned values of its first steps."""

    plan: FitPlan
    learned: tuple[tuple[dict[str, Any], ...], ...]
    requests: tuple[Request, ...]
    counts: tuple[tuple[int, int], ...]  # (chain, before): missing values of the chain before this step


@dataclass(slots=True)
class Collected:
    """What a unit, or all units so far, gave."""

    learners: list[Learner]
    missing: list[int]
    rows: int = 0

    def merge(self, other: Collected, scan: Scan) -> None:
        """Takes the next unit's."""
        for request, mine, theirs in zip(scan.requests, self.learners, other.learners, strict=True):
            named(scan.plan, request, mine.merge, theirs)
        self.missing = [mine + theirs for mine, theirs in zip(self.missing, other.missing, strict=True)]
        self.rows += other.rows

    def hints(self) -> list[Any]:
        """What lets learners of later rows collect less."""
        return [learner.hint() for learner in self.learners]


class PreparedScan:
    """A scan compiled for a source: run it on any unit of rows, from any thread."""

    def __init__(self, scan: Scan, source: RowSource) -> None:
        self.scan = scan
        names = source.names
        plan = scan.plan
        self.where: Program | None = None
        if plan.where is not None:
            builder = ProgramBuilder()
            nodes = column_nodes(builder, plan, names)
            self.where = builder.build([compile_expression(plan.where, builder, nodes)])
        builder = ProgramBuilder()
        nodes = column_nodes(builder, plan, names)
        places = [(one.chain, one.before) for one in scan.requests] + list(scan.counts)
        outputs = []
        for chain, before in places:
            one = plan.chains[chain]
            node = compile_expression(one.source, builder, nodes)
            outputs.append(compile_steps(builder, node, one.steps[:before], scan.learned[chain][:before])[0])
        self.program = builder.build(outputs)
        shapes = [value.shape for value in source.empty(self.program.columns).values()]
        elements = sum(math.prod(shape) for shape in shapes if shape)
        self.block_rows = BLOCK_ROWS
        while self.block_rows * elements > BLOCK_ELEMENTS and self.block_rows > 1:
            self.block_rows //= 2

    def start(self) -> Collected:
        """Learners that have seen nothing."""
        learners = []
        for request in self.scan.requests:
            learner = self.scan.plan.chains[request.chain].steps[request.step].learner()
            if learner is None:
                raise FitError(
                    f"step {request.step} of {self.scan.plan.chains[request.chain].name} has nothing to learn"
                )
            if request.folds:
                learner.expect_fold()
            learners.append(learner)
        return Collected(learners, [0] * len(self.scan.counts))

    def unit(
        self, source: RowSource, start: int, stop: int, hints: Callable[[], list[Any]], done: Callable[[int], None]
    ) -> Collected:
        """All blocks of the rows ``start`` to ``stop``; ``done`` is told each block's number of rows."""
        collected = self.start()
        for low in range(start, stop, self.block_rows):
            high = min(low + self.block_rows, stop)
            for learner, hint in zip(collected.learners, hints(), strict=True):
                learner.start(hint)
            try:
                self._block(source, low, high, collected)
            except VaxseqError as error:
                error.add_note(f"while fitting rows {low:,} to {high:,}")
                raise
            done(high - low)
        return collected

    def _block(self, source: RowSource, start: int, stop: int, collected: Collected) -> None:
        ids = np.arange(start, stop, dtype=np.int64)
        mask = source.filter_mask(start, stop)
        if mask is not None:
            ids = ids[mask]
            if len(ids) == 0:
                return
        names = dict.fromkeys((*self.program.columns, *(self.where.columns if self.where else ())))
        columns = source.read(tuple(names), start, stop)
        if mask is not None and len(ids) < stop - start:
            columns = {name: value.compress(mask) for name, value in columns.items()}
        if self.where is not None:
            chosen = selection_mask(self.where.run(columns)[0])
            if not chosen.all():
                ids = ids[chosen]
                columns = {name: columns[name].compress(chosen) for name in self.program.columns}
        if len(ids) == 0:
            return
        collected.rows += len(ids)
        values = self.program.run(columns)
        rows = Rows(ids)
        for request, learner, value in zip(self.scan.requests, collected.learners, values, strict=False):
            named(self.scan.plan, request, learner.update, value, rows)
        for place, value in enumerate(values[len(self.scan.requests) :]):
            collected.missing[place] += int(np.count_nonzero(value.is_missing()))


def column_nodes(builder: ProgramBuilder, plan: FitPlan, names: tuple[str, ...]) -> dict[str, int]:
    """The node of each physical and derived column, by name."""
    nodes = {name: builder.column(name) for name in names}
    derived = dict(plan.columns)
    try:
        order = tuple(
            graphlib.TopologicalSorter(
                {name: expr.names & derived.keys() for name, expr in derived.items()}
            ).static_order()
        )
    except graphlib.CycleError as error:
        raise DefinitionError(f"columns: {' -> '.join(error.args[1])}; a column can't need itself") from error
    for name in order:
        if all(
            one in nodes for one in derived[name].names
        ):  # one that needs an absent column is reported where it is used
            nodes[name] = compile_expression(derived[name], builder, nodes)
    return nodes


def check_columns(plan: FitPlan, names: tuple[str, ...]) -> None:
    """Raises ColumnNotFoundError for the first column that a chain or the where needs and nobody has."""
    derived = dict(plan.columns)
    known = {*names, *derived}
    stack = [(chain.name, name) for chain in plan.chains for name in chain.source.names]
    stack += [("where", name) for name in plan.where.names] if plan.where is not None else []
    seen: set[str] = set()
    while stack:
        user, name = stack.pop()
        if name not in known:
            raise ColumnNotFoundError(f"{user}: no column {name!r}.{did_you_mean(name, known)}")
        if name in derived and name not in seen:
            seen.add(name)
            stack += [(f"columns.{name}", one) for one in derived[name].names]


@dataclass(frozen=True, slots=True)
class Description:
    """A scan for other processes: how to open the source, and what to do; no data of a file-backed frame."""

    key: str
    spec: Any
    scan: Scan


def describe(source: RowSource, scan: Scan) -> Description:
    """The description of a scan, with a key of its own."""
    return Description(uuid.uuid4().hex, source.spec(), scan)


_OPENED: dict[str, tuple[RowSource, PreparedScan]] = {}  # of this process, the latest description only


def run_described(description: Description, start: int, stop: int, hints: list[Any]) -> Collected:
    """One unit, in whatever process this is."""
    end_with_parent()
    opened = _OPENED.get(description.key)
    if opened is None:
        source: RowSource = description.spec.open()
        opened = (source, PreparedScan(description.scan, source))
        _OPENED.clear()
        _OPENED[description.key] = opened
    return opened[1].unit(opened[0], start, stop, lambda: hints, lambda rows: None)


def named(plan: FitPlan, request: Request, do: Callable[..., Any], *arguments: Any) -> Any:
    """Runs a learner; its errors say which feature and step."""
    try:
        return do(*arguments)
    except (FitError, FeatureTypeError) as error:
        chain = plan.chains[request.chain]
        raise type(error)(f"{chain.name}: step {chain.steps[request.step].name!r}: {error}") from error
