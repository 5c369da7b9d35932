"""The only room that imports vaex: open a dataset, read its columns by row, bind virtual columns and filters."""

from __future__ import annotations

from typing import Any

from vaxseq.frame.arrow_types import held
from vaxseq.frame.attaching import attach_files
from vaxseq.frame.binding import ROW, bind, filter_rows, row_numbers, with_row_numbers
from vaxseq.frame.from_tables import frame_of
from vaxseq.frame.mapped import copy_runs
from vaxseq.frame.opening import open
from vaxseq.frame.source import FrameSpec, Source
from vaxseq.frame.streaming import blocks_of, rows_of

__all__ = [
    "ROW",
    "FrameSpec",
    "Source",
    "attach_files",
    "bind",
    "blocks_of",
    "copy_runs",
    "filter_rows",
    "frame_of",
    "held",
    "open",
    "row_numbers",
    "rows_of",
    "source_of",
    "with_row_numbers",
]


def source_of(data: Any) -> Source:
    """The Source of a table, or of the dataset at a path: see `frame_of`.

    Raises:
        OptionError: it is neither.
    """
    return data if isinstance(data, Source) else Source(frame_of(data))
