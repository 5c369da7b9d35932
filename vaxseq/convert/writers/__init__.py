"""Writers: one target format a file. A module here that defines a Writer is found by itself."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from vaxseq.convert.writers.base import Writer


@cache
def writers() -> dict[str, type[Writer]]:
    """Every writer by its format's name."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return {one.name: one for one in sorted(Writer.__subclasses__(), key=lambda one: one.name)}


def writer_for(suffix: str) -> type[Writer] | None:
    """The writer of files with this suffix."""
    return next((one for one in writers().values() if suffix in one.suffixes), None)
