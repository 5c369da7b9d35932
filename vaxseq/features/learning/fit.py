"""The fit: as few passes over the training rows as the steps allow, each fused over all features.

Rows are taken in fixed blocks and units, and units merge in row order, so the learned values are the same
to the last bit whatever the executor, its number of workers and the order in which they finish.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from vaxseq.dataset.fanout import submitted
from vaxseq.errors import FeatureTypeError, FitError, MissingValueError, VaxseqError
from vaxseq.expressions import compile_expression, selection_mask
from vaxseq.expressions.program import ProgramBuilder
from vaxseq.features.learning.fit_plan import Chain, FitPlan, FitResult
from vaxseq.features.learning.scan import (
    UNIT_ROWS,
    Collected,
    PreparedScan,
    Request,
    RowSource,
    Scan,
    check_columns,
    column_nodes,
    describe,
    named,
    run_described,
)
from vaxseq.features.transforms.chain import check_steps

_LOCAL_THREADS = 2  # each holds a unit's sample in memory, and more gain little; an executor goes further

Learned = list[list[dict[str, Any]]]


def fit_features(
    plan: FitPlan, source: RowSource, *, executor: Executor | None = None, progress: bool = True
) -> FitResult:
    """Learns all steps of all chains from the training rows: the frame's own filter and ``plan.where``.

    One scan learns everything that doesn't depend on other learned values; a step after a learned one
    waits for the next scan, unless that one only fills missing values (``impute``), which is folded in.

    Args:
        plan: The chains, derived columns and row filter.
        source: A frame's Source.
        executor: Where units of rows are read; None is a few threads of this process.
        progress: Shows a progress bar when standard error is a terminal.

    Raises:
        FeatureTypeError: a step can't take its column; found before a row is read.
        FitError: no training rows, nothing to learn from, or too many distinct values.
        MissingValueError: a feature would be missing in training rows; names each with its count.
    """
    check_columns(plan, source.names)
    _check_types(plan, source)
    learned: Learned = [_known(chain, []) for chain in plan.chains]
    sources: list[int | None] = [None] * len(plan.chains)
    ends: list[int | None] = [_settled(chain) for chain in plan.chains]
    rows = scans = 0
    with _bar(progress, source.n_rows) as bar:
        while True:
            scan = _next_scan(plan, learned, sources, ends)
            if scans and not scan.requests and not scan.counts:
                break
            prepared = PreparedScan(scan, source)
            scans += 1
            found = _run(prepared, source, executor, bar(f"fit, scan {scans}"))
            rows = found.rows
            if rows == 0:
                raise FitError(
                    f"no training rows; got 0 of {source.n_rows:,} after the frame's filter and where. "
                    "Choose other rows"
                )
            _take_counts(plan, scan, found, sources, ends)
            _refuse_missing(plan, ends, rows)
            _take_learned(plan, scan, found, learned)
    missing = {chain.name: count or 0 for chain, count in zip(plan.chains, sources, strict=True)}
    return FitResult(
        {chain.name: tuple(values) for chain, values in zip(plan.chains, learned, strict=True)}, rows, scans, missing
    )


def _check_types(plan: FitPlan, source: RowSource) -> None:
    """Runs every chain on zero rows."""
    builder = ProgramBuilder()
    nodes = column_nodes(builder, plan, source.names)
    problems = []
    for chain in plan.chains:
        try:
            program = builder.build([compile_expression(chain.source, builder, nodes)])
            check_steps(program.run(source.empty(program.columns))[0], chain.steps)
        except FeatureTypeError as error:
            problems.append(f"{chain.name}: {error}")
    if problems:
        raise FeatureTypeError("\n".join(problems))
    if plan.where is not None:
        program = builder.build([compile_expression(plan.where, builder, nodes)])
        selection_mask(program.run(source.empty(program.columns))[0])


def _known(chain: Chain, learned: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Learned values so far, and {} for the steps right after them that learn nothing."""
    learned = list(learned)
    while len(learned) < len(chain.steps) and chain.steps[len(learned)].learner() is None:
        learned.append({})
    return learned


def _settled(chain: Chain) -> int | None:
    """0 when the chain's last value can't be missing, or nobody minds; None when it must be counted."""
    change = _last_change(chain)
    handled = change > 0 and chain.steps[change - 1].sees_missing == "handles"
    return 0 if handled or not chain.complete else None


def _last_change(chain: Chain) -> int:
    """The number of steps after which what is missing stays as it is."""
    for place in range(len(chain.steps), 0, -1):
        if chain.steps[place - 1].sees_missing != "keeps":
            return place
    return 0


def _next_scan(plan: FitPlan, learned: Learned, sources: list[int | None], ends: list[int | None]) -> Scan:
    """All that can be learned and counted now."""
    requests: list[Request] = []
    counts: list[tuple[int, int]] = []
    for number, chain in enumerate(plan.chains):
        known = len(learned[number])
        if known < len(chain.steps):
            requests.append(Request(number, known, known))
            following = known + 1
            if chain.steps[known].fills and following < len(chain.steps):
                learner = chain.steps[following].learner()
                if learner is not None and learner.expect_fold():
                    requests.append(Request(number, following, known))
        wanted = {0} if sources[number] is None else set()
        if ends[number] is None and _last_change(chain) <= known:
            wanted.add(_last_change(chain))
        if known < len(chain.steps) and wanted & {known}:
            wanted.discard(known)  # the learner there counts
        counts += [(number, before) for before in sorted(wanted)]
    return Scan(plan, tuple(tuple(one) for one in learned), tuple(requests), tuple(counts))


def _take_counts(
    plan: FitPlan, scan: Scan, found: Collected, sources: list[int | None], ends: list[int | None]
) -> None:
    counted = dict(zip(scan.counts, found.missing, strict=True))
    for request, learner in zip(scan.requests, found.learners, strict=True):
        counted.setdefault((request.chain, request.before), learner.missing)
    for (number, before), count in counted.items():
        if before == 0 and sources[number] is None:
            sources[number] = count
        if ends[number] is None and before >= _last_change(plan.chains[number]):
            ends[number] = count


def _refuse_missing(plan: FitPlan, ends: list[int | None], rows: int) -> None:
    problems = [
        f"{chain.name} ({chain.reads or chain.source.text}): {count:,} of {rows:,} training rows have no value "
        "after its steps"
        for chain, count in zip(plan.chains, ends, strict=True)
        if count
    ]
    if problems:
        raise MissingValueError(
            "\n".join(problems)
            + "\nSay what a missing value becomes, such as {impute: {strategy: median, indicator: true}}, "
            "or leave these rows out with where="
        )


def _take_learned(plan: FitPlan, scan: Scan, found: Collected, learned: Learned) -> None:
    """Finishes the learners, chain by chain; a fold that fails waits for a scan of its own."""
    for request, learner in zip(scan.requests, found.learners, strict=True):
        chain = plan.chains[request.chain]
        mine = learned[request.chain]
        if request.folds:
            if len(mine) != request.step or not named(plan, request, learner.fold, mine[request.before]["fill"]):
                continue
        mine.append(named(plan, request, learner.finish))
        learned[request.chain] = _known(chain, mine)


def _run(
    prepared: PreparedScan, source: RowSource, executor: Executor | None, done: Callable[[int], None]
) -> Collected:
    """All units, merged in row order."""
    units = [(start, min(start + UNIT_ROWS, source.n_rows)) for start in range(0, source.n_rows, UNIT_ROWS)]
    total = prepared.start()
    if executor is not None:
        description = describe(source, prepared.scan)
        asked = ((unit, (run_described, description, *unit, total.hints())) for unit in units)
        _merge(executor, asked, total, prepared.scan, done=done)
        return total
    workers = min(
        _LOCAL_THREADS, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    if workers == 1 or len(units) <= 1:
        for start, stop in units:
            total.merge(prepared.unit(source, start, stop, total.hints, done), prepared.scan)
        return total

    def local(start: int, stop: int) -> Collected:
        return prepared.unit(source, start, stop, total.hints, done)

    pool = ThreadPoolExecutor(workers, thread_name_prefix="vaxseq-fit")
    try:
        here = ((unit, (local, *unit)) for unit in units)
        _merge(pool, here, total, prepared.scan, most=workers)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return total


def _merge(
    executor: Executor,
    calls: Iterable[tuple[tuple[int, int], tuple[Any, ...]]],
    total: Collected,
    scan: Scan,
    *,
    most: int | None = None,
    done: Callable[[int], None] | None = None,
) -> None:
    """Takes what units of rows give, in row order."""
    with submitted(executor, calls, most=most) as futures:
        for (start, stop), future in futures:
            try:
                found = future.result()
            except BrokenExecutor as error:
                raise FitError(
                    f"fit: a worker died at or near rows {start:,} to {stop:,}. "
                    "It may have run out of memory: use fewer workers"
                ) from error
            except VaxseqError:
                raise
            except Exception as error:
                error.add_note(f"while fitting rows {start:,} to {stop:,}")
                raise
            total.merge(found, scan)
            if done is not None:
                done(stop - start)


@contextmanager
def _bar(progress: bool, rows: int) -> Iterator[Callable[[str], Callable[[int], None]]]:
    """Gives, for each scan's title, a function that is told of rows done."""
    if not progress or not sys.stderr.isatty():
        yield lambda title: lambda done: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as shown:

        def scan(title: str) -> Callable[[int], None]:
            task = shown.add_task(title, total=rows)
            return lambda done: shown.advance(task, done)

        yield scan
