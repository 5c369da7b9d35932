"""convert(): from sources to a dataset, restartable at any moment."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from vaxseq.convert.appending import Base, seeded, words_of
from vaxseq.convert.commit import clear, commit, empty, forget, publish, published, recover
from vaxseq.convert.fanout import explained_pool, in_order, keyed, process_pool, warm
from vaxseq.convert.filter_forms import filter_forms
from vaxseq.convert.first_types import first_types
from vaxseq.convert.journal import locked
from vaxseq.convert.planning import Plan, key_of_work, plan_of, working_folder
from vaxseq.convert.readers.base import Unit
from vaxseq.convert.resampling import Resample
from vaxseq.convert.sorting import check_sort
from vaxseq.convert.source_notes import collect_notes
from vaxseq.convert.sources import check_sources, fingerprint
from vaxseq.convert.space import check_space, explained
from vaxseq.convert.stage import PieceKey, Stage
from vaxseq.convert.target import check_new, check_replaceable, check_work
from vaxseq.convert.unit_reader import FinishedPiece, UnitReader, declared_types
from vaxseq.convert.uploading import converted_to_url
from vaxseq.dataset.addresses import is_url
from vaxseq.dataset.manifest import Manifest, SourcePrint
from vaxseq.dataset.processes import workers_asked
from vaxseq.dataset.schema import Schema, type_name
from vaxseq.display.progress import FileProgress
from vaxseq.errors import DatasetError, SchemaError

FRAGMENT_BYTES = 1 << 30


def convert(
    sources: Any = None, target: str | os.PathLike[str] | None = None, *,
    sql: str | None = None, uri: str | None = None,
    schema: Schema | str | os.PathLike[str] | Mapping[str, Any] | None = None,
    columns: Iterable[str] | None = None, rename: Mapping[str, str] | None = None, where: str | None = None,
    on_bad_rows: str = "error", resume: bool = True, overwrite: bool = False, append: bool = False,
    again: bool = False, workers: int | None = None,
    sort_by: str | Iterable[str] | None = None, resample: Mapping[str, Any] | Resample | None = None,
    executor: Executor | None = None, progress: bool = True,
    format: str | None = None, path_column: str | None = None, target_format: str | None = None,
    fragment_bytes: int = FRAGMENT_BYTES,
    **reader_options: Any,
) -> Manifest:  # fmt: skip
    """Converts data of any size to a dataset that memory-maps.

    A target with the suffix ``.arrow`` or ``.hdf5`` is one file; any other is a folder of fragments with a manifest.
    It appears when it is complete. A run that was stopped or killed goes on where it was when it is called again.
    A target at a URL (``s3://bucket/folder``) is a folder: it is made in local scratch ($VAXSEQ_SCRATCH, else the cache
    folder), which needs room for it, and then sent there, its manifest last.

    Args:
        sources: a path, URL, glob or folder, a list of them; a table of any kind, a query or a vaex frame with its
            filter and virtual columns (``vaxseq help tables``), or an iterable of such, batch after batch.
        target: the file or folder to make, or the URL of a folder.
        sql: a query whose result is the source, in place of ``sources``. The result is streamed. A run that was stopped
            begins again, unless the option ``key`` names a column of the result without missing and equal values: then
            rows come in its order, and the run goes on if the result still has as many rows between the same keys.
            Without ``uri`` the query is over files, ``select ... from 'a.parquet' join read_csv('b.csv') using (k)``:
            DuckDB runs it in this process, in the memory that the option ``memory_limit`` names (half of what is free,
            at most 4 GiB), and spills the rest beside the target.
        uri: where to ask: ``postgresql://user@host/database``, or ``sqlite:///path/to/file.db``. The password comes
            from PGPASSWORD or the variable that the option ``password_env`` names, and is never shown or stored.
        schema: types, nullability, bounds and categories that the rows must obey; a Schema, a YAML file or a mapping.
        columns: names in the source of the columns to keep, in order.
        rename: new names by names in the source.
        where: an expression over the dataset's columns; rows for which it isn't true are dropped and counted.
        sort_by: columns of the dataset to sort the rows by, in bounded memory and three times the dataset's room on the
            disk. Equal rows keep their order, missing values come last. When it is stopped, the sort begins again, but
            not the reading.
        resample: puts each series on a grid of times, gaps as missing rows: ``{"order_by": "t", "every":
            "10s", "group_by": "device", "how": "mean", "fill_forward": 3, "max_gap": "1h"}``. A row stands for the time
            from its own up to the next; its value is the mean of numbers and the last of anything else unless ``how``
            (by column, or one for all) says sum, min, max, first, last or count. A value is carried forward over as
            many empty steps, and gaps longer than ``max_gap`` stay without rows. Rows are sorted by series and time.
        on_bad_rows: "error" stops at a row that doesn't fit; "reject" sets it aside in ``<target>.rejects.parquet``.
        resume: goes on with what an earlier, unfinished call left.
        overwrite: replaces a dataset that is there, when the new one is whole. Nothing else is ever replaced.
        append: adds to a folder target; its fragments stay as they are. A source that the dataset has taken in
            already is refused.
        again: appends such a source once more.
        workers: local processes that read, this one among them; None is $VAXSEQ_WORKERS, else 1.
        executor: any concurrent.futures.Executor that reads instead.
        progress: shows rows, bytes and the time left.
        format: the sources' format, when their names don't tell.
        path_column: a name for a column that holds each row's source path.
        target_format: "arrow" or "hdf5", the format of a folder's fragments.
        fragment_bytes: the size at which a folder's next fragment begins.
        **reader_options: the reader's, such as ``delimiter``, ``null_values`` or ``encoding`` of CSV, ``key`` of SQL;
            of text: ``forms`` ({column: form}, what is written: month_first, day_first, decimal_comma, ...),
            ``null_values`` (a list for all columns, or {column: [...]} beside the usual ones), ``skip_rows``,
            ``header_rows``, ``units_rows``, ``header=False``, ``names``, ``comment``, ``skip_footer``,
            ``time_from=["Date", "Time"]``, ``melt={"keep": [...], "names": ..., "values": ...}``. What they should be
            is said by the manifest's ``notices`` and by an error's ``options``;
            ``images="64x64"`` (height × width) reads a folder of images: a column ``file``, a column ``label`` (the
            sub-folder's name, or the columns of the CSV that ``labels`` names, whose first column is the file) and the
            column ``image``; ``color_mode`` is rgb, rgba or grayscale, ``resize`` is stretch, crop or pad.

    Returns:
        The dataset's manifest.

    Raises:
        SourceError: a source can't be read.
        BadRowError: a row doesn't fit, with on_bad_rows="error".
        SchemaError: types that don't go together, or that the target can't hold.
        DatasetError: the target exists, is being written, or its sources changed since the run that is to be resumed.

    >>> import tempfile, pyarrow as pa
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     convert(pa.table({"x": [1, 2]}), f"{folder}/x.arrow", progress=False).n_rows
    2
    """
    given = dict(locals())
    if isinstance(target, str) and is_url(target) and not target.startswith("file://"):
        return converted_to_url(given, lambda plan: _converted(plan, workers, executor))
    return _converted(plan_of(given), workers, executor)


def _converted(plan: Plan, workers: int | None, executor: Executor | None) -> Manifest:
    """The same on the local disk."""
    workers = workers_asked() if workers is None else workers
    work = working_folder(plan.target)
    with ExitStack() as stack:
        check_work(work, plan.target)
        plan.target.parent.mkdir(parents=True, exist_ok=True)
        stack.enter_context(locked(work, plan.target))
        left = recover(work, plan.target)
        prints = tuple(fingerprint(source) for source in plan.job.sources)
        key = key_of_work(plan, prints)
        strict_key = key_of_work(replace(plan, job=replace(plan.job, on_bad_rows="error")), prints)
        if (finished := _finished(plan, work, key, left)) is not None:
            return finished
        before = _existing(plan)
        if before is not None and not plan.again:
            check_new(plan.target, before.sources, prints)
        check_sources(plan.job.sources, plan.job.options)
        stack.enter_context(explained(plan.target))
        base = plan.base if before is None else Base(before, words_of(before))
        if base is not None:
            plan = replace(plan, job=seeded(plan.job, base.manifest))
        own = UnitReader(plan.job)
        stack.callback(own.close)
        if base is None and (forms := filter_forms(plan.job, own)):
            own.close()
            options = {**plan.job.options, "forms": {**forms, **(plan.job.options.get("forms") or {})}}
            plan = replace(plan, job=replace(plan.job, options=options))
            own = UnitReader(plan.job)
            stack.callback(own.close)
        stage = _stage(plan, work, key, strict_key, own, base.words if base is not None else {})
        stack.callback(stage.close)
        shown = stack.enter_context(
            FileProgress(plan.target.name, [one.size_bytes for one in prints], stage.rows, show=plan.progress)
        )
        if plan.resample is not None:
            plan.resample.check_names(stage.types)  # what the types are, all of the rows tell
        if plan.sort_by:
            check_sort(plan.sort_by, stage.types)
        copies = (1 if plan.format == "arrow" else 2) + (2 if plan.sort_by else 0)  # staged as Arrow, runs, sorted
        copies += plan.resample is not None
        check_space(plan.target, own, sum(one.size_bytes for one in prints), copies)
        pool = executor or (stack.enter_context(process_pool(workers)) if workers > 1 and plan.parallel else None)
        manifest = _run(plan, prints, stage, work, before, own, pool if plan.parallel else None, shown)
        clear(work)
    return manifest


def _existing(plan: Plan) -> Manifest | None:
    """The manifest of the dataset to append to; refuses a target that is in the way."""
    if plan.append:
        if not plan.target.exists():
            return None
        before = Manifest.load(plan.target)
        before.check_files()
        return before
    if plan.overwrite:
        check_replaceable(plan.target)
    elif os.path.lexists(plan.target):
        raise DatasetError(
            f"{plan.target}: the target exists already. Choose another, or replace it with overwrite=True."
        )
    return None


def _finished(plan: Plan, work: Path, key: str, left: tuple[str, dict[str, Any]] | None) -> Manifest | None:
    """The manifest of the same conversion when an earlier run of it had all but the clearing up behind it.

    What a run of another conversion has finished, and not cleared up, is cleared up here.
    """
    note = Stage.ready_note(work)
    made_by = (Stage.header(work) or {}).get("key") if note is not None else None
    if note is not None:
        left = None
    elif left is not None:
        made_by, note = left
    else:
        return None
    there = left is not None or published(plan.target, note)
    if made_by == key and plan.resume and plan.restartable:
        if left is not None:
            forget(work)
            return Manifest.from_dict(note["manifest"], str(plan.target))
        manifest = publish(work, plan.target, note)
        clear(work)
        return manifest
    if left is not None:
        forget(work)
    if there:
        empty(work)
        if made_by == key and plan.append and not plan.again:
            raise DatasetError(
                f"{plan.target}: an earlier run of this conversion was stopped just after it had added its rows. Pass "
                "again=True to add the source's rows once more."
            )
    return None


def _stage(plan: Plan, work: Path, key: str, strict_key: str, own: UnitReader, words: dict[str, list[str]]) -> Stage:
    """The stage, as an earlier run left it where that run did the same work.

    ``strict_key`` is of the same work with on_bad_rows="error": what that has staged has no bad row in it.
    """
    header = Stage.header(work)
    other = header is not None and header.get("key") not in (key, strict_key)
    going_on = header is not None and plan.resume and plan.restartable
    if going_on and Stage.holds_rows(work) and (other or (key == strict_key and Stage.holds_rejects(work))):
        raise DatasetError(
            f"{plan.target}: an unfinished conversion is there, of other sources or options than now (a source may "
            "have changed). Start anew with resume=False."
        )
    if other or not going_on:
        empty(work, but=("replaced",))
    fixed = declared_types(plan.job)
    types = first_types(plan.job, fixed, own)
    return Stage(work, key, types, frozenset(fixed), plan.fragment_bytes if plan.folder else None, words)


def _numbered_units(plan: Plan, own: UnitReader) -> Iterator[tuple[int, Unit]]:
    number = 0
    for index in range(len(plan.job.sources)):
        for unit in own.reader(index).units(index):
            yield number, unit
            number += 1


def _pieces(
    plan: Plan, stage: Stage, work: Path, own: UnitReader, pool: Executor | None
) -> Iterator[tuple[PieceKey, FinishedPiece, PieceKey]]:
    """Finished pieces in order, with the key of what comes after each."""
    first, skip = stage.next
    todo = ((number, unit) for number, unit in _numbered_units(plan, own) if number >= first)
    local = isinstance(pool, ProcessPoolExecutor)
    started = pool.submit(warm) if pool is not None and local else None
    for number, unit in todo:  # the first unit shows the types to start with; more of them while local workers start
        yield from keyed(number, own.read(unit, stage.types, skip if number == first else 0))
        if pool is not None and (started is None or started.done()):
            with explained_pool(plan.job.sources[0].name):
                yield from in_order(pool, plan.job, todo, stage.types, work, helps=local)


def _unit(plan: Plan, own: UnitReader, units: dict[int, Unit], key: PieceKey) -> Unit:
    """The unit of a piece, also of one that an earlier run staged."""
    if key[0] not in units:
        units.update(dict(_numbered_units(plan, own)))
    return units[key[0]]


def _run(
    plan: Plan,
    prints: tuple[SourcePrint, ...],
    stage: Stage,
    work: Path,
    before: Manifest | None,
    own: UnitReader,
    pool: Executor | None,
    shown: FileProgress,
) -> Manifest:
    """Reads what is left, stages it, and commits."""
    units: dict[int, Unit] = {}

    def reread(key: PieceKey, types: Mapping[str, pa.DataType]) -> FinishedPiece:
        return next(own.read(_unit(plan, own, units, key), types, key[1]))

    def current(key: PieceKey, finished: FinishedPiece) -> FinishedPiece:
        if stage.stale(finished):
            finished = reread(key, stage.types)
            stage.widen(finished.table)
            if stage.stale(finished):
                names = [name for name in finished.table.column_names if stage.is_stale(finished, name)]
                raise SchemaError(
                    f"{plan.job.sources[finished.unit.source].name}: column {names[0]!r}: got "
                    f"{type_name(finished.table[names[0]].type)}, expected text as before. Declare its type in schema=."
                )
        return finished

    for key, finished, after in _pieces(plan, stage, work, own, pool):
        units[key[0]] = finished.unit
        stage.widen(finished.table)
        finished = current(key, finished)
        for held, one in stage.stale_held():
            stage.replace_held(held, current(held, one))
        stage.add(key, finished, after)
        shown.update(finished.unit.source, finished.unit.stop, finished.table.num_rows)
    stage.flush()
    stage.sync()
    changed = [a.name for a, b in zip(prints, map(fingerprint, plan.job.sources), strict=True) if a != b]
    if changed:
        raise DatasetError(f"{changed[0]}: the source changed while it was read. Convert it again with resume=False.")
    shown.say("sorting and writing the dataset" if plan.sort_by else "writing the dataset")
    noted = collect_notes(plan.job, own, lambda key: _unit(plan, own, units, key))
    return commit(
        stage, work, plan.target, plan.format, folder=plan.folder, noted=noted,
        declared=plan.job.schema, sources=prints,
        reread=lambda key, types: reread(key, types).table, before=before, sort_by=plan.sort_by, resample=plan.resample,
        fragment_bytes=plan.fragment_bytes if plan.folder else None, overwrite=plan.overwrite,
    )  # fmt: skip
