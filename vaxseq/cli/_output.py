"""Standard output, the same for every verb: tables as wide as there is room, JSON where a machine reads."""

from __future__ import annotations

import os
import sys
from json import dumps, loads
from typing import Any

from rich.console import Console

from vaxseq.errors import printable

_PIPE_WIDTH = 160


class Output(Console):
    """When its reader goes away, the command line's own frame ends the program, quietly."""

    def on_broken_pipe(self) -> None:
        """Rich itself would exit with 1, which is the code of a fault."""
        raise BrokenPipeError


def output() -> Console:
    """The terminal; or a file or pipe, whose lines are wide enough for whole rows."""
    free = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Output(highlight=False, markup=False, width=_PIPE_WIDTH if free else None)


def show(*shown: Any, json: bool, data: Any, quiet: bool = False) -> None:
    """Prints what a person reads, unless quiet; or for a machine the same as JSON, in which NaN is null."""
    console = output()
    if json:
        console.print_json(data=loads(dumps(data), parse_constant=lambda _: None))
        return
    for one in () if quiet else shown:
        console.print(printable(one) if isinstance(one, str) else one, soft_wrap=isinstance(one, str))
