"""Data made by a process of its own: pages of a file that the measuring one has mapped couldn't be dropped."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing import get_context
from typing import Any


def made_apart(make: Callable[..., None], *arguments: Any) -> None:
    """Run ``make`` in a new process, to its end.

    Raises:
        SystemExit: it failed.
    """
    making = get_context("spawn").Process(target=make, args=arguments)
    making.start()
    making.join()
    if making.exitcode:
        raise SystemExit("the data couldn't be made")
