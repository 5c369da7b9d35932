"""The rows of a dataset on a grid of times, as drafts."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from vaxseq.convert.resampling import Grid, Resample
from vaxseq.convert.sorting import coded, write_drafts
from vaxseq.convert.stage import Draft
from vaxseq.convert.writers.base import Tables


def resampled_drafts(
    tables: Tables, work: Path, schema: pa.Schema, words: Mapping[str, pa.Array], how: Resample, draft_bytes: int | None
) -> tuple[list[Draft], pa.Schema]:
    """New drafts of the rows, which come sorted by series and time, and their schema.

    Raises:
        OptionError: a step or a way that doesn't fit its column's type.
        SchemaError: a row without a time, or a gap that would be filled with a million rows.
    """
    folder = work / "resampled"
    if folder.exists():  # of a run that was killed
        shutil.rmtree(folder)
    folder.mkdir()
    types = dict(zip(schema.names, schema.types, strict=True))
    how.check(types)
    made = how.types(types)
    new = pa.schema([one.with_type(made[one.name]) for one in schema])
    grid = Grid(how, types)
    codes = (pa.Table.from_arrays(coded(table), names=table.column_names) for table in tables())
    return write_drafts(grid.tables(codes), folder, new, words, draft_bytes), new
