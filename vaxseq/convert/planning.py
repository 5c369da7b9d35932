"""A conversion's options, checked, as one plan."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vaxseq.convert.appending import Base
from vaxseq.convert.journal import FORM, key_of
from vaxseq.convert.readers import check_options
from vaxseq.convert.readers.files_sql import FileQuery
from vaxseq.convert.readers.sql import Query
from vaxseq.convert.resampling import Resample
from vaxseq.convert.sources import find_sources
from vaxseq.convert.storage import local_path
from vaxseq.convert.target import check_apart, check_place
from vaxseq.convert.unit_reader import Job
from vaxseq.convert.writers import writer_for, writers
from vaxseq.dataset.manifest import SourcePrint
from vaxseq.dataset.schema import Schema
from vaxseq.errors import OptionError


def working_folder(target: Path) -> Path:
    """Where a conversion keeps what it has done so far."""
    return target.with_name(target.name + ".partial")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is converted, into what, and how."""

    job: Job
    target: Path
    folder: bool
    format: str
    overwrite: bool
    append: bool
    again: bool
    resume: bool
    progress: bool
    fragment_bytes: int
    restartable: bool
    parallel: bool
    sort_by: tuple[str, ...]
    resample: Resample | None
    base: Base | None = None  # a dataset elsewhere, which the rows are to go on with


def key_of_work(plan: Plan, now: tuple[SourcePrint, ...]) -> str:
    """A fingerprint of the work: the sources as they are, and every option that shapes the result."""
    prints = [(one.name, one.digest) for one in now]
    job = replace(plan.job, sources=(), schema=None)
    schema = plan.job.schema and plan.job.schema.to_dict()
    shape = [prints, str(job), schema, plan.format, plan.fragment_bytes, plan.append, plan.sort_by, str(plan.resample)]
    return key_of([FORM, *shape])


def plan_of(given: dict[str, Any]) -> Plan:
    """The call's options, checked."""
    for name, allowed in (("on_bad_rows", ("error", "reject")), ("target_format", (None, *writers()))):
        if given[name] not in allowed:
            raise OptionError(f"convert: option {name}; got {given[name]!r}, expected one of {allowed}.")
    if given["workers"] is not None and (not isinstance(given["workers"], int) or given["workers"] < 1):
        raise OptionError(f"convert: option workers; got {given['workers']!r}, expected a whole number from 1.")
    if given["target"] is None:
        raise OptionError("convert: no target; expected the path of a file or folder to make. Pass target=.")
    if not isinstance(given["target"], str | os.PathLike):
        got = f"got {type(given['target']).__name__}, expected the path of a file or folder to make"
        raise OptionError(f"convert: option target; {got}. The source comes first: convert(source, 'x.arrow').")
    target = Path(local_path(os.fspath(given["target"])))
    check_place(target)
    writer = writer_for(target.suffix)
    if given["append"] and (writer is not None or given["overwrite"]):
        raise OptionError(f"convert: option append; got the target {target}, expected a folder, and no overwrite.")
    if writer is not None and given["target_format"] not in (None, writer.name):
        raise OptionError(f"convert: option target_format; got {given['target_format']!r} for {target}. Leave it out.")
    images = "images" if "images" in given["reader_options"] else None
    sources = find_sources(_query(given, target) or given["sources"], given["format"] or images)
    if images and given["reader_options"].get("labels") is not None:  # part of what the source is
        sources = tuple(replace(one, data=os.fspath(given["reader_options"]["labels"])) for one in sources)
    check_apart(target, sources)
    check_options({source.format for source in sources}, given["reader_options"])
    schema = given["schema"]
    if isinstance(schema, Mapping):
        schema = Schema.from_dict(schema)
    elif schema is not None and not isinstance(schema, Schema):
        schema = Schema.load(schema)
    columns = given["columns"]
    if isinstance(columns, str):
        columns = [columns]
    job = Job(
        sources, dict(given["reader_options"]), None if columns is None else tuple(columns),
        dict(given["rename"] or {}),
        schema, given["where"], given["on_bad_rows"], given["path_column"],
    )  # fmt: skip
    restartable = all(source.restartable for source in sources)
    sort_by = given["sort_by"] or ()
    sort_by = (sort_by,) if isinstance(sort_by, str) else tuple(sort_by)
    resample = Resample.of(given["resample"])
    if resample is not None:
        if sort_by:
            raise OptionError(
                "convert: option resample; got it with sort_by, but rows on a grid have an order of their own."
            )
        sort_by = resample.sort_by
    if sort_by and given["append"]:
        raise OptionError("convert: option sort_by; got it with append, which leaves earlier rows where they are.")
    parallel = all(source.path is not None for source in sources)
    name = writer.name if writer else given["target_format"] or "arrow"
    return Plan(
        job, target, writer is None, name, given["overwrite"], given["append"], given["again"],
        given["resume"], given["progress"],
        given["fragment_bytes"], restartable, parallel, sort_by, resample,
    )  # fmt: skip


def _query(given: dict[str, Any], target: Path) -> Query | FileQuery | None:
    """The query that is asked for in place of files."""
    if given["sql"] is None and given["uri"] is None and given["sources"] is not None:
        return None
    for name in ("sql", "uri"):
        if not isinstance(given[name], str) and not (name == "uri" and given[name] is None):
            raise OptionError(
                f"convert: option {name}; got {type(given[name]).__name__}, expected text. Name sources, or pass sql=, "
                "and uri= where a database is asked."
            )
    if given["sources"] is not None:
        raise OptionError("convert: got both sources and sql=. Convert them apart; the target is passed as target=.")
    options = given["reader_options"]
    if given["uri"] is None:
        return FileQuery(given["sql"], os.fspath(working_folder(target) / "spill"), options.get("key"))
    return Query(given["sql"], given["uri"], options.get("key"), options.get("password_env"))
