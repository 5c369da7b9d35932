"""Writers: one target format a file. A module here that defines a Writer is found by itself."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from vaxseq.convert.writers.base import Writer
from vaxseq.errors import OptionError

READ_ONLY = (".csv", ".tsv", ".gz", ".zip", ".json", ".jsonl", ".ndjson", ".parquet", ".npy", ".npz")


@cache
def writers() -> dict[str, type[Writer]]:
    """Every writer by its format's name."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return {one.name: one for one in sorted(Writer.__subclasses__(), key=lambda one: one.name)}


def writer_for(suffix: str) -> type[Writer] | None:
    """The writer of files with this suffix; None for a folder.

    Raises:
        OptionError: the suffix of a format that is read only.
    """
    found = next((one for one in writers().values() if suffix in one.suffixes), None)
    if found is None and suffix in READ_ONLY:
        written = ", ".join(one.suffixes[0] for one in writers().values())
        raise OptionError(
            f"convert: the target; got {suffix!r}, a format that is only read. Expected {written} or a folder."
        )
    return found
