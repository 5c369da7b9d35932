"""One pass over the chosen rows of a frame, in blocks, for all columns at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Protocol

from vaxseq.dataset.fanout import in_turn, workers_of
from vaxseq.display.progress import progress_bar
from vaxseq.expressions.values import Mask, Value
from vaxseq.frame import FrameSpec, Source
from vaxseq.report.column import ColumnScan, ColumnSummary

BLOCK_ROWS = 65_536
_THREADS = 4


class Rows(Protocol):
    """What a pass reads: a frame's Source, or a sample of one."""

    n_rows: int

    def read(self, names: Iterable[str], start: int, stop: int) -> dict[str, Value]: ...

    def filter_mask(self, start: int, stop: int) -> Mask | None: ...


def blocks(source: Rows, names: Sequence[str]) -> Iterator[tuple[int, dict[str, Value]]]:
    """The physical rows that each block covers, and the rows in it that the frame's filter leaves."""
    for start in range(0, source.n_rows, BLOCK_ROWS):
        stop = min(start + BLOCK_ROWS, source.n_rows)
        mask = source.filter_mask(start, stop)
        if mask is not None and not mask.any():
            yield stop - start, {}
            continue
        values = source.read(names, start, stop)
        if mask is not None and not mask.all():
            values = {name: value.compress(mask) for name, value in values.items()}
        yield stop - start, values


def scan(
    source: Source,
    types: Mapping[str, str],
    units: Mapping[str, str],
    *,
    executor: Executor | None = None,
    progress: bool,
) -> dict[str, ColumnSummary]:
    """The summaries of these columns; memory doesn't grow with the rows.

    An executor's workers each take some of the columns over all rows, so that what is found is the same to the bit.

    Raises:
        SourceError: a worker died.
    """
    if executor is None:
        with progress_bar(progress, "exploring", source.n_rows, "rows") as advance:
            return _scan(source, types, units, advance)
    workers = workers_of(executor)
    shares = [list(types)[first :: 2 * workers] for first in range(min(2 * workers, len(types)))]
    spec, found = source.spec(), dict[str, ColumnSummary]()
    calls = ((spec, {name: types[name] for name in names}, dict(units)) for names in shares)
    with progress_bar(progress, "exploring", len(types), "columns") as advance:
        for summaries in in_turn(executor, scan_elsewhere, calls, where="explore"):
            found |= summaries
            advance(len(summaries))
    return {name: found[name] for name in types}


def scan_elsewhere(spec: FrameSpec, types: Mapping[str, str], units: Mapping[str, str]) -> dict[str, ColumnSummary]:
    """What a worker does: these columns of the frame that the description opens."""
    return _scan(spec.open(), types, units, lambda rows: None)


def _scan(
    source: Source, types: Mapping[str, str], units: Mapping[str, str], advance: Callable[[int], None]
) -> dict[str, ColumnSummary]:
    empty = source.empty(types)
    scans = {name: ColumnScan(name, types[name], empty[name], units.get(name)) for name in types}
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        for rows, values in blocks(source, list(types)):
            for done in [pool.submit(scans[name].update, value) for name, value in values.items()]:
                done.result()
            advance(rows)
    return {name: one.finish() for name, one in scans.items()}
