"""The commit of a conversion: drafts get one set of types, one dictionary a column, footers, manifest and name."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from vaxseq.convert.appending import joined
from vaxseq.convert.dictionary import MIN_REPEATS
from vaxseq.convert.forms.detection import read_column
from vaxseq.convert.forms.suggestion import Decided
from vaxseq.convert.journal import JOURNAL_NAME, LOCK_NAME
from vaxseq.convert.ranges import ranges_of
from vaxseq.convert.refinement import Seen
from vaxseq.convert.rejects import REJECTS_SUFFIX, save_rejects
from vaxseq.convert.resampled import resampled_drafts
from vaxseq.convert.resampling import Resample
from vaxseq.convert.sorting import sorted_drafts
from vaxseq.convert.stage import Draft, Stage
from vaxseq.convert.staged_reader import Reread, staged_groups
from vaxseq.convert.target import check_replaceable, done_folder, done_note
from vaxseq.convert.type_promotion import cast_exactly, is_text
from vaxseq.convert.writers import writers
from vaxseq.convert.writers.ipc import IpcFile
from vaxseq.dataset.manifest import MANIFEST_KEY, Fragment, Manifest, SourcePrint, sync_folder
from vaxseq.dataset.notice import Notice
from vaxseq.dataset.schema import Schema, type_name
from vaxseq.errors import DatasetError


@dataclass(frozen=True, slots=True)
class Noted:
    """What the sources' layout and text tell beside the rows."""

    look: Callable[[Stage, Reread], Seen] = lambda _, __: Seen()
    notices: tuple[Notice, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)
    forms: Mapping[str, str] = field(default_factory=dict)  # those that were asked for


def final_types(stage: Stage, format_name: str, forms: Mapping[str, Decided] | None = None) -> dict[str, pa.DataType]:
    """The dataset's types: what the whole of the rows asks for, as the target holds it."""
    writer = writers()[format_name]
    found = {}
    for name, kind in stage.types.items():
        if forms and name in forms:
            kind = forms[name].kind
        elif pa.types.is_dictionary(kind) and name not in stage.fixed:
            many = len(stage.coders[name].values) * MIN_REPEATS > stage.rows
            kind = pa.string() if many else kind
        found[name] = writer.kind(kind, name)
    return found


def commit(
    stage: Stage, work: Path, target: Path, format_name: str, *, folder: bool, declared: Schema | None,
    sources: tuple[SourcePrint, ...], reread: Reread, before: Manifest | None = None,
    sort_by: tuple[str, ...] = (), fragment_bytes: int | None = None, overwrite: bool = False,
    noted: Noted | None = None, resample: Resample | None = None,
) -> Manifest:  # fmt: skip
    """Makes the dataset of the staged rows and moves it to ``target`` in one step."""
    _settle(stage, reread)
    noted = noted or Noted()
    seen = noted.look(stage, reread)
    types = final_types(stage, format_name, seen.forms)
    fields = [
        pa.field(name, kind, metadata={"timezone": zone} if (zone := _zone(stage, seen, name)) else None)
        for name, kind in types.items()
    ]
    schema = pa.schema(fields)
    words = {name: stage.coders[name].array() for name, kind in types.items() if pa.types.is_dictionary(kind)}
    drafts = [draft for draft in stage.drafts if draft.groups]
    if sort_by:
        rows_in_order = _Tables(stage, drafts, types, schema, words, reread, seen.forms)
        drafts = sorted_drafts(rows_in_order, work, schema, words, sort_by, fragment_bytes)
    if resample is not None:
        tables = _Tables(stage, drafts, types, schema, words, reread, seen.forms, seen.forms)
        drafts, schema = resampled_drafts(tables, work, schema, words, resample, fragment_bytes)
        types = dict(zip(schema.names, schema.types, strict=True))
    manifest = Manifest(
        _with_units(Schema.from_arrow(schema, declared), noted.units),
        stage.rows if resample is None else sum(draft.rows for draft in drafts),
        (),
        format_name,
        sources,
        stage.rejected,
        stage.dropped,
        notices=(*noted.notices, *seen.notices),
        forms={**noted.forms, **{name: one.form for name, one in seen.forms.items()}},
        ranges=ranges_of(types, [(draft.types, draft.ranges) for draft in drafts]),
        location=str(target),
    )
    out = work / "dataset"
    if out.exists():
        shutil.rmtree(out)
    out.mkdir()
    suffix = writers()[format_name].suffixes[0]
    if stage.rejected:
        save_rejects(work / "rejects.parquet", stage.rejects())
    parts = [[draft] for draft in drafts] if folder else [drafts]
    fragments: list[Fragment] = []
    earlier = before.fragments if before is not None else ()
    for number, part in enumerate(parts, len(earlier)):
        name = f"part-{number:05d}{suffix}" if folder else target.name
        rows = sum(draft.rows for draft in part)
        meta = (
            {}
            if folder
            else {MANIFEST_KEY: json.dumps(replace(manifest, fragments=(Fragment(target.name, rows, 0),)).to_dict())}
        )
        if format_name == "arrow" and len(part) == 1 and _same_types(part[0], types):
            file = IpcFile(work / part[0].name, schema, part[0].blocks, part[0].length, part[0].sums)
            file.finish(words, {key.encode(): value.encode() for key, value in meta.items()})
            _link(work / part[0].name, out / name)
        else:
            tables = _Tables(stage, part, types, schema, words, reread, seen.forms, seen.forms if sort_by else ())
            writers()[format_name].write(out / name, schema, tables, rows, meta)
        fragments.append(Fragment(name, rows, os.path.getsize(out / name)))
    manifest = replace(manifest, fragments=tuple(fragments))
    if before is not None:
        manifest = joined(before, manifest, target)
    elif folder:
        manifest.save(out)
    note = {
        "manifest": manifest.to_dict(), "folder": folder, "append": before is not None, "overwrite": overwrite,
    }  # fmt: skip
    stage.ready(note)
    return publish(work, target, note)


def publish(work: Path, target: Path, ready: dict[str, Any]) -> Manifest:
    """Moves the finished dataset to its place; called again after a kill, it does what is left.

    Raises:
        DatasetError: something else has come to the target meanwhile.
    """
    out = work / "dataset"
    rejects = work / "rejects.parquet"
    if not ready["append"] and target.exists() and (out if ready["folder"] else out / target.name).exists():
        if not ready.get("overwrite", True):
            raise DatasetError(
                f"{target}: came to be while the sources were converted. Move it away, and run the same conversion "
                "again to put the dataset there."
            )
        check_replaceable(target)
    if rejects.exists():
        os.replace(rejects, target.with_name(target.name + REJECTS_SUFFIX))
    manifest = Manifest.from_dict(ready["manifest"], str(target))
    if ready["append"]:
        for path in sorted(out.glob("part-*")):
            os.replace(path, target / path.name)  # not part of the dataset before the manifest says so
        manifest.save(target)
    elif ready["folder"] and out.exists():
        _swap_folder(out, target, work)
    elif not ready["folder"] and (out / target.name).exists():
        os.replace(out / target.name, target)
    sync_folder(target.parent)
    return manifest


def published(target: Path, ready: dict[str, Any]) -> bool:
    """Whether the dataset of a finished run is at its place."""
    if not target.exists():
        return False
    try:
        there = Manifest.load(target)
        made = Manifest.from_dict(ready["manifest"], str(target))
    except DatasetError:
        return False
    rows = [one.rows for one in made.fragments]
    return there.schema == made.schema and there.sources[: len(made.sources)] == made.sources and (
        [one.rows for one in there.fragments[: len(rows)]] == rows
    )  # fmt: skip


def clear(work: Path) -> None:
    """Removes the working folder. Its journal goes last, by itself: until then a same call knows that all is done."""
    done = done_folder(work)
    if done.exists():
        _remove(done)
    os.replace(work, done)
    _remove(done)


def forget(work: Path) -> None:
    """Removes what a finished run of the same target has left."""
    _remove(done_folder(work))


def empty(work: Path, but: tuple[str, ...] = ()) -> None:
    """Removes what is in a working folder, the journal last; the lock stays, and so do the names ``but``."""
    for entry in sorted(work.iterdir(), key=lambda entry: entry.name == JOURNAL_NAME):
        if entry.name not in (LOCK_NAME, *but):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _remove(done: Path) -> None:
    note = done_note(done)
    with suppress(FileNotFoundError):  # the run that it is of may be at it, too
        (done / LOCK_NAME).unlink(missing_ok=True)
        empty(done, but=(JOURNAL_NAME,))
        if (done / JOURNAL_NAME).exists():
            os.replace(done / JOURNAL_NAME, note)
        done.rmdir()
    note.unlink(missing_ok=True)


def _settle(stage: Stage, reread: Reread) -> None:
    """Shows the dictionaries the values that early drafts hold as numbers or times, so that all of them count."""
    for draft in stage.drafts:
        late = [
            name for name, kind in stage.types.items()
            if pa.types.is_dictionary(kind) and not is_text(draft.types[name])
            and not pa.types.is_null(draft.types[name])
        ]  # fmt: skip
        for keys, _, _ in draft.groups if late else []:
            for key in keys:
                table = reread(key, stage.types)
                for name in late:
                    if name in stage.coders and stage.coders[name].encode(table[name].cast(pa.string()).chunks) is None:
                        stage.give_up(name)


def _link(draft: Path, path: Path) -> None:
    """The draft under a second name: it stays where a killed run's successor looks for it."""
    try:
        os.link(draft, path)
    except OSError:  # a file system without hard links
        shutil.copyfile(draft, path)


def _same_types(draft: Draft, types: dict[str, pa.DataType]) -> bool:
    """Whether the draft's bytes are the dataset's: a zone is the same bytes without its name."""
    return all(
        draft.types[name].equals(kind)
        or (pa.types.is_timestamp(kind) and getattr(draft.types[name], "unit", "") == kind.unit)
        for name, kind in types.items()
    )


class _Tables:
    """The drafts' rows in the dataset's types, as often as a writer walks them."""

    def __init__(
        self,
        stage: Stage,
        drafts: list[Draft],
        types: dict[str, pa.DataType],
        schema: pa.Schema,
        words: dict[str, pa.Array],
        reread: Reread,
        forms: Mapping[str, Decided],
        typed: Container[str] = (),
    ) -> None:
        self._stage, self._drafts, self._types, self._schema, self._words, self._reread = (
            stage,
            drafts,
            types,
            schema,
            words,
            reread,
        )
        self._forms, self._typed = forms, typed

    def __call__(self) -> Iterator[pa.Table]:
        for _, table, late in staged_groups(self._stage, self._drafts, self._reread, typed=self._typed):
            yield self._cast(table, late)

    def _cast(self, table: pa.Table, reread: set[str]) -> pa.Table:
        columns = []
        for one in self._schema:
            column = table[one.name]
            if one.name in self._forms and (is_text(column.type) or pa.types.is_integer(column.type)):
                column = _read(column, self._forms[one.name])
            if pa.types.is_dictionary(one.type):
                words = self._words[one.name]
                parts = []
                for chunk in column.chunks:
                    if pa.types.is_dictionary(chunk.type) and one.name not in reread:
                        codes = chunk.indices  # a draft's codes are the dataset's
                    else:
                        codes = self._stage.coders[one.name].encode([chunk.cast(pa.string())])
                    parts.append(pa.DictionaryArray.from_arrays(codes, words))
                columns.append(pa.chunked_array(parts, one.type))
            elif pa.types.is_timestamp(one.type) and pa.types.is_timestamp(column.type):
                columns.append(column.cast(pa.timestamp(one.type.unit, column.type.tz)).cast(one.type))
            else:
                columns.append(_exactly(column, one.type, one.name))
        return pa.table(columns, schema=self._schema)


def _read(column: pa.ChunkedArray, decided: Decided) -> pa.ChunkedArray:
    """Text in a form as the values that it means."""
    parts = []
    for chunk in column.chunks:
        if pa.types.is_dictionary(chunk.type):
            parts.append(read_column(decided.form, chunk.dictionary, decided.kind).take(chunk.indices))
        else:
            parts.append(read_column(decided.form, chunk.cast(pa.string()), decided.kind))
    return pa.chunked_array(parts, decided.kind)


def _zone(stage: Stage, seen: Seen, name: str) -> str | None:
    kind = seen.forms[name].kind if name in seen.forms else stage.types[name]
    return getattr(kind, "tz", None)


def _with_units(schema: Schema, units: Mapping[str, str]) -> Schema:
    columns = [replace(one, unit=one.unit or units.get(one.name)) for one in schema.columns]
    return Schema(tuple(columns))


def _exactly(column: pa.ChunkedArray, kind: pa.DataType, name: str) -> pa.ChunkedArray:
    if pa.types.is_time(column.type) and pa.types.is_duration(kind):
        whole = column.cast(pa.int32() if pa.types.is_time32(column.type) else pa.int64())
        return whole.cast(pa.int64()).cast(kind)
    if pa.types.is_decimal(column.type) and pa.types.is_floating(kind):
        return column.cast(pa.string()).cast(kind)  # Arrow's own cast is off by a bit for some
    return cast_exactly(column, kind, f"column {name!r} ({type_name(column.type)})")


def _swap_folder(out: Path, target: Path, work: Path) -> None:
    """Puts the new folder in the old one's place; `recover` undoes a kill between the two renames."""
    if target.exists():
        os.replace(target, work / "replaced")
    os.replace(out, target)


def _finished(journal: Path) -> tuple[str, dict[str, Any]] | None:
    """The key and the note of a run that came to its end, from its journal."""
    try:
        lines = [json.loads(line) for line in journal.read_bytes().splitlines()]
        return str(lines[0]["key"]), dict(lines[-1]["ready"])
    except (OSError, ValueError, LookupError, TypeError):  # none is there, or not of such a run
        return None


def recover(work: Path, target: Path) -> tuple[str, dict[str, Any]] | None:
    """Puts a dataset back that a killed overwrite had moved away, and removes what a finished run had left.

    Gives the key and the note of the run that was killed while it cleared up, if its dataset is at the target; what
    tells so is left to `forget`.
    """
    done, found = done_folder(work), None
    for journal in (done / JOURNAL_NAME, done_note(done)):
        if (said := _finished(journal)) is not None and published(target, said[1]):
            found = said
    if found is None:
        _remove(done)
    if (work / "replaced").exists() and not target.exists():
        os.replace(work / "replaced", target)
    return found
