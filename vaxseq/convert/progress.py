"""How far a conversion is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from vaxseq.convert.readers.base import Unit
from vaxseq.manifest import SourcePrint

_LINE_S = 10.0


class Progress:
    """Rows, bytes, rows a second and the time left."""

    def __init__(self, prints: tuple[SourcePrint, ...], on: bool, target: Path, rows: int) -> None:
        self._on, self._target, self._rows, self._from = on, target, rows, rows
        self._sizes = [one.size_bytes for one in prints]
        self._before = [sum(self._sizes[:index]) for index in range(len(self._sizes))]
        self._started = self._said = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Progress:
        if self._on and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TextColumn("{task.fields[rows]}"),
                TimeRemainingColumn(), console=Console(stderr=True),
            )  # fmt: skip
            self._bar.start()
            self._task = self._bar.add_task(self._target.name, total=sum(self._sizes) or None, rows="")
        elif self._on and self._rows:
            print(f"{self._target.name}: going on after {self._rows:,} rows", file=sys.stderr)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, unit: Unit, rows: int) -> None:
        """One more piece is done."""
        self._rows += rows
        if not self._on:
            return
        size = self._sizes[unit.source]
        done = self._before[unit.source] + (min(unit.stop, size) if unit.stop >= 0 else 0)
        now = time.monotonic()
        speed = f"{self._rows:,} rows, {(self._rows - self._from) / max(now - self._started, 1e-9):,.0f} rows/s"
        if self._bar is not None:
            self._bar.update(self._task, completed=done, rows=speed)
        elif now - self._said > _LINE_S:
            self._said = now
            print(
                f"{self._target.name}: {speed}, {done / 1e6:,.0f} of {sum(self._sizes) / 1e6:,.0f} MB", file=sys.stderr
            )

    def say(self, what: str) -> None:
        """Names the stage that begins."""
        if self._bar is not None:
            self._bar.update(self._task, rows=f"{self._rows:,} rows, {what}")
