"""One pass over the chosen rows of a frame, in blocks, for all columns at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from vaxseq.display.progress import progress_bar
from vaxseq.expressions.values import Mask, Value
from vaxseq.frame import Source
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
    source: Source, types: Mapping[str, str], units: Mapping[str, str], *, progress: bool
) -> dict[str, ColumnSummary]:
    """The summaries of these columns; memory doesn't grow with the rows."""
    empty = source.empty(types)
    scans = {name: ColumnScan(name, types[name], empty[name], units.get(name)) for name in types}
    threads = min(_THREADS, os.cpu_count() or 1)
    with (
        ThreadPoolExecutor(threads) as pool,
        progress_bar(progress, "exploring", source.n_rows, "rows") as advance,
    ):
        for rows, values in blocks(source, list(types)):
            for done in [pool.submit(scans[name].update, value) for name, value in values.items()]:
                done.result()
            advance(rows)
    return {name: one.finish() for name, one in scans.items()}
