"""What an append takes over from the dataset: its types, forms and dictionaries."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from vaxseq.convert.piece import Job
from vaxseq.convert.readers import readers
from vaxseq.dataset.manifest import Manifest
from vaxseq.dataset.schema import Schema


def appended_schema(before: Manifest) -> Schema:
    """What rows of a dataset are demanded to be, so that they go into its columns."""
    return Schema(
        tuple(
            replace(one, type=f"{one.type[:-1]}, UTC]") if one.timezone and one.type.startswith("timestamp") else one
            for one in before.schema.columns
        )
    )


def seeded(job: Job, before: Manifest) -> tuple[Job, dict[str, list[str]]]:
    """The job with the dataset's own types demanded, and the dictionaries that its fragments have."""
    columns = []
    for one in appended_schema(before).columns:
        declared = job.schema is not None and one.name in job.schema
        columns.append(job.schema.column(one.name) if declared and job.schema is not None else one)
    old_names = {new: old for old, new in job.rename.items()}
    forms = {old_names.get(name, name): form for name, form in before.forms.items()}
    options = job.options
    if forms and all("forms" in readers()[one.format].options for one in job.sources):
        options = {**options, "forms": {**forms, **options.get("forms", {})}}
    return replace(job, schema=Schema(tuple(columns)), options=options), _words(before)


def _words(before: Manifest) -> dict[str, list[str]]:
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
