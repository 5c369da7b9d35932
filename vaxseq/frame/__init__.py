"""The only room that imports vaex: open a dataset, read its columns by row, bind virtual columns and filters."""

from __future__ import annotations

from typing import Any

from vaxseq.errors import OptionError
from vaxseq.frame.attaching import attach_files
from vaxseq.frame.binding import ROW, bind, filter_rows, row_numbers, with_row_numbers
from vaxseq.frame.mapped import copy_runs
from vaxseq.frame.opening import open
from vaxseq.frame.source import FrameSpec, Source

__all__ = [
    "ROW",
    "FrameSpec",
    "Source",
    "attach_files",
    "bind",
    "copy_runs",
    "filter_rows",
    "open",
    "row_numbers",
    "source_of",
    "with_row_numbers",
]


def source_of(frame: Any) -> Source:
    """The Source of a vaex frame, or of the dataset at a path.

    Raises:
        OptionError: it is neither.
    """
    if isinstance(frame, Source):
        return frame
    if isinstance(frame, str) or hasattr(frame, "__fspath__"):
        return Source(open(frame))
    if not hasattr(frame, "dataset") or not hasattr(frame, "virtual_columns"):
        remedy = "Pass vaxseq.open(path), a vaex DataFrame, or a dataset's path."
        if isinstance(frame, dict) and frame:
            remedy = f"Name one of its parts: [{next(iter(frame))!r}]."
        raise OptionError(f"frame: got {type(frame).__name__}, expected a vaex DataFrame or a path. {remedy}")
    return Source(frame)
