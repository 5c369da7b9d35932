"""How far a job is, for people, on standard error: bars when that is a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Self

from vaxseq.errors import printable

_LINE_S = 10.0


@contextmanager
def progress_bar(show: bool, title: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Gives a function that is told how much more is done; the bar shows the share, the pace and the time left."""
    if not show or not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.completed:,.0f} " + unit),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(printable(title), total=total)
        yield lambda done: shown.advance(task, done)


@contextmanager
def progress_after(title: str, total: int, unit: str, *, seconds: float = 2.0) -> Iterator[Callable[[int], None]]:
    """The same for a job that is mostly short: the bar comes when it has taken so long."""
    begun, done = time.monotonic(), 0
    with ExitStack() as stack:
        bar: Callable[[int], None] | None = None

        def advance(more: int) -> None:
            nonlocal bar, done
            done += more
            if bar is not None:
                bar(more)
            elif time.monotonic() - begun > seconds:
                bar = stack.enter_context(progress_bar(True, title, total, unit))
                bar(done)

        yield advance


class FileProgress:
    """Rows, bytes, pace and time left of reading files: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, title: str, sizes: Sequence[int], rows: int, *, show: bool) -> None:
        self._show, self._title, self._rows, self._from = show, printable(title), rows, rows
        self._sizes = list(sizes)
        self._before = [sum(self._sizes[:index]) for index in range(len(self._sizes))]
        self._started = self._said = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        if self._show and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(),
                TextColumn("{task.fields[rows]}", markup=False),
                TimeRemainingColumn(), console=Console(stderr=True),
            )  # fmt: skip
            self._bar.start()
            self._task = self._bar.add_task(self._title, total=sum(self._sizes) or None, rows="")
        elif self._show and self._rows:
            sys.stderr.write(f"{self._title}: going on after {self._rows:,} rows\n")
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, file: int, stop: int, rows: int) -> None:
        """So many more rows are done, up to byte ``stop`` of a file; -1 where that isn't known."""
        self._rows += rows
        if not self._show:
            return
        size = self._sizes[file]
        done = self._before[file] + (min(stop, size) if stop >= 0 else 0)
        now = time.monotonic()
        speed = f"{self._rows:,} rows, {(self._rows - self._from) / max(now - self._started, 1e-9):,.0f} rows/s"
        if self._bar is not None:
            self._bar.update(self._task, completed=done, rows=speed)
        elif now - self._said > _LINE_S:
            self._said = now
            sys.stderr.write(f"{self._title}: {speed}, {done / 1e6:,.0f} of {sum(self._sizes) / 1e6:,.0f} MB\n")

    def say(self, what: str) -> None:
        """Names the stage that begins."""
        if self._bar is not None:
            self._bar.update(self._task, rows=f"{self._rows:,} rows, {what}")
