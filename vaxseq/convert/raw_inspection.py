"""A look at raw text before it is converted: its first rows as they stand and as they would become, in a second."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vaxseq.convert import type_inference
from vaxseq.convert.forms.day_numbers import DayNumbers
from vaxseq.convert.forms.detection import FormDetector, Subject, read_column
from vaxseq.convert.forms.suggestion import Decided, decide, say
from vaxseq.convert.readers import open_reader
from vaxseq.convert.readers.base import Piece, Request, Source
from vaxseq.convert.readers.delimited import TextReader
from vaxseq.convert.refinement import GLANCE, MOST_FOOTERS, Extremes, footers_told, of_days
from vaxseq.convert.split_times import split_times
from vaxseq.convert.type_promotion import is_text
from vaxseq.dataset.notice import Notice, merged_options
from vaxseq.dataset.schema import type_name
from vaxseq.display.html import Heading
from vaxseq.display.tables import Display, Shown
from vaxseq.errors import VaxseqError

_FIRST_ROWS = 3
_PART = 1 << 18  # bytes that are looked at in the middle and at the end
_MARK_BYTES = 3  # of a byte-order mark
_MOST_ATTEMPTS = 4  # options that one look takes after another


class Facts(Shown, dict[str, Any]):
    """Plain values that show themselves as a table."""

    def __rich__(self) -> Any:
        return self._display()

    def plain(self) -> Any:
        """The same, for JSON."""
        return dict(self)


class RawInspection(Facts):
    """What `convert` would make of text: by its first rows, and some from its middle and its end."""

    notices: tuple[Notice, ...] = ()

    @property
    def options(self) -> dict[str, Any]:
        """What to pass to `convert` to take everything that was noticed."""
        return merged_options(self.notices)

    @property
    def command(self) -> str:
        """The command line that does so."""
        return str(self["command"])

    def _display(self) -> Display:
        headings = (
            Heading("column"), Heading("type", "code"), Heading("unit"), Heading("missing", "number", spare=True),
            Heading("as written"), Heading("becomes"), Heading("form", "quiet", spare=True),
        )  # fmt: skip
        rows = tuple(
            (one["name"], one["type"], one["unit"] or "", f"{one['missing']:.1%}" if one["missing"] else "",
             " | ".join(one["written"]), " | ".join(one["becomes"]) if one["becomes"] != one["written"] else "",
             one["form"] or "")
            for one in self["columns"]
        )  # fmt: skip
        about = "" if self["rows_exact"] else "about "
        files = f", {self['fragments']:,} files" if self["fragments"] > 1 else ""
        title = (
            f"{self['path']}: {about}{self['rows']:,} rows, {self['size_bytes'] / 1e6:,.1f} MB, {self['format']}{files}"
        )
        notes = [f"notice: {one}" + (f"  {as_arguments(one.options)}" if one.options else "") for one in self.notices]
        return Display(title, headings, rows, (*notes, f"to convert: {self.command}"), dict(self))


@dataclass(slots=True)
class _Sampled:
    """A column of the sample: its text, and what it would be."""

    cells: pa.Array
    kind: pa.DataType
    values: pa.Array
    form: str | None
    notice: Notice | None
    look: FormDetector | None = None


def inspect_raw(sources: tuple[Source, ...], path: str, size_bytes: int, options: Mapping[str, Any]) -> RawInspection:
    """A look at the first of these text sources, the size of all of them in mind."""
    taken: dict[str, Any] = dict(options)
    stopped: list[Notice] = []
    for attempt in range(_MOST_ATTEMPTS):
        try:
            reader = cast("TextReader", open_reader(sources[0], taken))  # or such a one, melted
            break
        except VaxseqError as error:
            if not error.options or set(error.options) <= set(taken) or attempt == _MOST_ATTEMPTS - 1:
                raise
            stopped.append(Notice(None, str(error), (), error.options))
            taken |= error.options
    with reader:
        head = reader.sample()
        table, bad = _parsed(reader, [head, *_elsewhere(reader, head)])
        columns = {name: _sampled(reader, name, table[name].combine_chunks()) for name in reader.names()}
        _tell(columns, {name: reader.subject(name) for name in columns})
        units = reader.column_units()
        layout = (*stopped, *reader.notices)
        last_rows = [reader.last_rows(MOST_FOOTERS)]
    if bad:
        layout = (*layout, Notice(None, f"{bad:,} of the rows looked at don't fit", (), {"on_bad_rows": "reject"}))
    whole = reader.splittable and len(head.raw) >= size_bytes - reader.body_start - 3 and len(sources) == 1
    head_rows = int(np.count_nonzero(head.raw == 10)) or 1
    rows = table.num_rows if whole else int(size_bytes * head_rows / max(len(head.raw), 1))
    noticed = any({"units_rows", "header_rows", "header", "skip_rows"} & set(one.options) for one in reader.notices)
    of_columns = [one.notice for one in columns.values() if one.notice is not None and not noticed]
    if {"time_from", "melt"}.isdisjoint(options):
        kinds = {name: one.kind for name, one in columns.items()}
        of_columns += split_times(kinds, {name: name for name in columns}, lambda name: columns[name].cells)
    of_columns = footers_told(of_columns, last_rows)
    shown = [
        {"name": name, "type": type_name(one.kind), "unit": units.get(name), "form": one.form,
         "missing": one.values.null_count / max(len(one.values), 1), "written": _shown(one.cells),
         "becomes": _shown(one.values)}
        for name, one in columns.items()
    ]  # fmt: skip
    found = RawInspection()
    found.notices = (*layout, *of_columns)
    chosen = merged_options(one for one in found.notices if one.lossless or one in stopped)
    arguments = as_arguments({**options, **chosen})
    target = f"{sources[0].name.rsplit('/', 1)[-1].split('.')[0] or 'data'}.arrow"
    command = f"vaxseq convert {shlex.quote(path)} {shlex.quote(target)}" + (f" {arguments}" if arguments else "")
    found.update({
        "path": path, "format": reader.name, "rows": rows, "rows_exact": whole, "size_bytes": size_bytes,
        "fragments": len(sources), "memory_maps": False,
        "obstacles": [f"{path} is {reader.name}, which has to be parsed. Convert it: {command}"],
        "columns": shown, "notices": [one.to_dict() for one in found.notices], "command": command,
    })  # fmt: skip
    return found


def as_arguments(options: Mapping[str, Any]) -> str:
    r"""Options as they are typed behind ``vaxseq convert``.

    >>> as_arguments({"on_bad_rows": "reject", "forms": {"kW h": "decimal_comma"}})
    '--on-bad-rows reject --option \'forms={"kW h": "decimal_comma"}\''
    """
    parts = []
    for key, value in options.items():
        if key == "on_bad_rows":
            parts.append(f"--on-bad-rows {value}")
        elif key == "format":
            parts.append(f"--format {value}")
        elif key == "columns":
            parts.append(f"--columns {shlex.quote(','.join(value))}")
        else:
            written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            parts.append(f"--option {shlex.quote(f'{key}={written}')}")
    return " ".join(parts)


def _elsewhere(reader: TextReader, head: Piece) -> list[Piece]:
    """Whole lines from the middle and the end of a file that is larger than its head."""
    seen = reader.body_start + len(head.raw) + _MARK_BYTES
    return [piece for piece in reader.glimpses(_PART) if piece.start >= seen]


def _parsed(reader: TextReader, pieces: list[Piece]) -> tuple[pa.Table, int]:
    names = reader.names()
    request = Request(names, dict.fromkeys(names, pa.string()), frozenset(names))
    parsed = [reader.parse(piece, request) for piece in pieces]
    return pa.concat_tables([one.table for one in parsed]), sum(len(one.bad) for one in parsed)


def _sampled(reader: TextReader, name: str, cells: pa.Array) -> _Sampled:
    """What the column would be, by these cells."""
    subject = reader.subject(name)
    kind, present = reader.named_kind(name, cells), cells
    if kind is not None:
        present = reader.named_values(name, cells, kind)
        if name in reader.forms or not is_text(kind):
            return _Sampled(cells, kind, present, reader.forms.get(name), None)
        present = present.cast(pa.string())  # without the marks that were named
    elif not is_text(kind := type_inference.infer(cells, reader.format, name)):
        return _Sampled(cells, kind, type_inference.parse(cells, kind, reader.format)[0], None, None)
    look = subject.look()
    counted = pc.value_counts(present.drop_null())
    if not subject.glance(counted.field("values").slice(0, GLANCE)):
        return _Sampled(cells, kind, present, None, None)
    look.take(counted.field("values"), np.asarray(counted.field("counts")))
    if (decided := decide(look)) is not None:
        signs = Notice(name, look.said_of_signs(), tuple(look.signs), {}, True) if look.signs else None
        return _Sampled(cells, decided.kind, _read(present, decided), decided.form, signs)
    return _Sampled(cells, kind, present, None, None, look)


def _tell(columns: Mapping[str, _Sampled], subjects: Mapping[str, Subject]) -> None:
    """Gives each column its notice, the others in mind."""
    point = any(pa.types.is_floating(one.kind) for one in columns.values()) or any(
        [left.form.name for left in one.look.left()] == ["decimal_point"] and one.look.marked
        for one in columns.values() if one.look is not None
    )  # fmt: skip
    for name, one in columns.items():
        if one.look is not None:
            said = say(one.look, name, one.look.first, point_elsewhere=point)
            if said is not None:
                one.notice = Notice(name, said.message, said.examples, said.options, said.lossless)
        elif pa.types.is_int64(one.kind) or pa.types.is_float64(one.kind):
            extremes = Extremes()
            extremes.take(pa.chunked_array([one.values]), [])
            one.notice = next(iter(extremes.notices(name, name, len(one.values), lambda _, cells, __: cells)), None)
            days = DayNumbers()
            if pa.types.is_int64(one.kind):
                days.take(one.values.drop_null().to_numpy())
            if days.whole:
                decided, one.notice = of_days(days, name, subjects[name], (str(days.first),))
                if decided is not None:
                    one.kind, one.form = decided.kind, decided.form
                    one.values = read_column(decided.form, one.values.cast(pa.string()), decided.kind)


def _read(cells: pa.Array, decided: Decided) -> pa.Array:
    return read_column(decided.form, cells, decided.kind)


def _shown(cells: pa.Array) -> list[str]:
    first = cells.slice(0, _FIRST_ROWS)
    written = first if is_text(first.type) else first.cast(pa.string())
    return ["" if one is None else one for one in written.to_pylist()]
