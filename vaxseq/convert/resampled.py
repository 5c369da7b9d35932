"""The rows of a dataset on a grid of times, as drafts."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa

from vaxseq.convert.resampling import Grid, Resample
from vaxseq.convert.sorting import write_drafts
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
    return write_drafts(grid.tables(_coded(tables())), folder, new, words, draft_bytes), new


def _coded(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Tables with the codes of their dictionary columns."""
    for table in tables:
        columns = [
            pa.chunked_array([chunk.indices for chunk in column.chunks], pa.int32())
            if pa.types.is_dictionary(column.type)
            else column
            for column in table.columns
        ]
        yield pa.Table.from_arrays(columns, names=table.column_names)
