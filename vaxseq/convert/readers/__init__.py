"""Readers: one format a file. A module here that defines a Reader is found by itself."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import Any, cast

from vaxseq.convert.readers.base import Reader, Source
from vaxseq.errors import OptionError, did_you_mean


@cache
def readers() -> dict[str, type[Reader]]:
    """Every reader by its format's name."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    found: dict[str, type[Reader]] = {}
    waiting: list[type[Reader]] = [*Reader.__subclasses__()]
    while waiting:
        one = waiting.pop()
        waiting += one.__subclasses__()
        if "name" in vars(one):
            found[one.name] = one
    return dict(sorted(found.items()))


def open_reader(source: Source, options: Mapping[str, Any]) -> Reader:
    """The source, open."""
    reader = readers()[source.format](source, options)
    for option, wrap in _WRAPPERS.items():
        if options.get(option) is not None:
            reader = cast("Reader", wrap()(reader, options[option]))
    return reader


def _joined_times() -> Any:
    from vaxseq.convert.readers.joined_times import JoinedTimes

    return JoinedTimes


def _melted() -> Any:
    from vaxseq.convert.readers.melted import Melted

    return Melted


_WRAPPERS = {"time_from": _joined_times, "melt": _melted}  # options that make the columns otherwise, in their order


def check_options(formats: set[str], options: Mapping[str, Any]) -> None:
    """Refuses an option that none of these formats has.

    Raises:
        OptionError: naming the option, and the nearest known one.
    """
    known = {key for name in formats for key in readers()[name].options} | set(_WRAPPERS)
    for key in options:
        if key not in known:
            shown = "/".join(sorted(formats))
            raise OptionError(f"convert: unknown option {key!r} for {shown}.{did_you_mean(key, known)}")
