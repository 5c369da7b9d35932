"""What an append takes over from the dataset, its types, forms and dictionaries, and the manifest of both."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa

from vaxseq.convert.ranges import together
from vaxseq.convert.readers import readers
from vaxseq.convert.unit_reader import Job
from vaxseq.dataset.manifest import Manifest
from vaxseq.dataset.schema import Schema
from vaxseq.errors import DatasetError


@dataclass(frozen=True, slots=True)
class Base:
    """The dataset that rows are appended to: its manifest, and the dictionaries of its last fragment."""

    manifest: Manifest
    words: dict[str, list[str]] = field(default_factory=dict)


def appended_schema(before: Manifest) -> Schema:
    """What rows of a dataset are demanded to be, so that they go into its columns."""
    return Schema(
        tuple(
            replace(one, type=f"{one.type[:-1]}, UTC]") if one.timezone and one.type.startswith("timestamp") else one
            for one in before.schema.columns
        )
    )


def seeded(job: Job, before: Manifest) -> Job:
    """The job with the dataset's own types and forms demanded."""
    columns = []
    for one in appended_schema(before).columns:
        declared = job.schema is not None and one.name in job.schema
        columns.append(job.schema.column(one.name) if declared and job.schema is not None else one)
    old_names = {new: old for old, new in job.rename.items()}
    forms = {old_names.get(name, name): form for name, form in before.forms.items()}
    options = job.options
    if forms and all("forms" in readers()[one.format].options for one in job.sources):
        options = {**options, "forms": {**forms, **options.get("forms", {})}}
    return replace(job, schema=Schema(tuple(columns)), options=options)


def joined(before: Manifest, made: Manifest, where: Path | str) -> Manifest:
    """The manifest of a dataset with the rows of another behind its own.

    Raises:
        DatasetError: a column has another type there; ``where`` begins the message.
    """
    for column in before.schema.columns:
        if made.schema.column(column.name).type != column.type:
            raise DatasetError(
                f"{where}: column {column.name!r}: got {made.schema.column(column.name).type} to append, expected "
                f"{column.type}. "
                f"Convert all sources together, or declare types in schema= from the start."
            )
    return replace(
        made, schema=before.schema, fragments=(*before.fragments, *made.fragments),
        n_rows=before.n_rows + made.n_rows,
        sources=(*before.sources, *made.sources), rejected_rows=before.rejected_rows + made.rejected_rows,
        dropped_rows=before.dropped_rows + made.dropped_rows,
        notices=(*before.notices, *(one for one in made.notices if one not in before.notices)),
        forms={**made.forms, **before.forms}, ranges=together(before.ranges, made.ranges),
    )  # fmt: skip


def words_of(before: Manifest) -> dict[str, list[str]]:
    """The dictionaries of the last fragment that has rows: each one's begin with those of the one before."""
    for path in before.paths()[::-1] if before.format == "arrow" else []:
        with pa.OSFile(str(path)) as source:
            file = pa.ipc.open_file(source)
            coded = [number for number, one in enumerate(file.schema) if pa.types.is_dictionary(one.type)]
            if not coded:
                return {}
            if file.num_record_batches:  # a dictionary comes with rows; those of other columns stay unread
                few = pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(included_fields=coded))
                batch = few.get_batch(0)
                return {name: batch.column(name).dictionary.to_pylist() for name in batch.schema.names}
    return {}
