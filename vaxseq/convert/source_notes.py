"""What a conversion's readers tell beside rows: which columns a second look may take, their units, lines to show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pyarrow as pa

from vaxseq.convert.commit import Noted
from vaxseq.convert.forms.detection import Subject
from vaxseq.convert.readers import readers
from vaxseq.convert.readers.base import Request, Unit
from vaxseq.convert.readers.delimited import TextReader
from vaxseq.convert.readers.excel import ExcelReader
from vaxseq.convert.readers.named_arrays import ArraysReader
from vaxseq.convert.refinement import MOST_FOOTERS, FindLine, Seen, first_values, footers_told, refine_types
from vaxseq.convert.split_times import split_times
from vaxseq.convert.stage import PieceKey, Stage
from vaxseq.convert.staged_reader import Reread
from vaxseq.convert.unit_reader import Job, UnitReader, chosen, declared_types
from vaxseq.dataset.notice import Notice
from vaxseq.expressions import parse

_MOST_SOURCES = 1000  # whose layouts are looked at for notices


def collect_notes(job: Job, own: UnitReader, unit: Callable[[PieceKey], Unit]) -> Noted:
    """Everything that the commit notes of these sources."""
    subjects: dict[str, Subject] = {}
    units: dict[str, str] = {}
    notices: list[Notice] = []
    forms: dict[str, str] = {}
    last_rows: list[list[dict[str, str]]] = []  # of each source
    every_text = all(readers()[source.format].is_text for source in job.sources)
    for index, source in enumerate(job.sources[:_MOST_SOURCES]):
        if not issubclass(readers()[source.format], TextReader | ArraysReader | ExcelReader):
            continue
        reader = cast("TextReader", own.reader(index))  # or one of arrays, or one that is melted
        notices += [one for one in reader.notices if one not in notices]
        for old, new in chosen(job, reader).items():
            if (mark := reader.column_units().get(old)) is not None:
                units.setdefault(new, mark)
            if every_text:
                if (form := reader.forms.get(old)) is not None:
                    forms.setdefault(new, form)
                subjects.setdefault(new, reader.subject(old))
        if every_text:
            last_rows.append(reader.last_rows(MOST_FOOTERS))
    notices += _lacking(job, own)
    for name in declared_types(job):
        subjects.pop(name, None)
    joined = not {"time_from", "melt"}.isdisjoint(job.options)
    source_names = {} if joined else {name: one.source_name for name, one in subjects.items()}
    filtered = parse(job.where, where="where").names if job.where is not None else ()
    subjects = {name: replace(one, is_filtered=name in filtered) for name, one in subjects.items() if name not in forms}
    find = _finder(job, own, unit)
    above = any({"units_rows", "header_rows", "skip_rows"} & set(one.options) for one in notices)

    def look(stage: Stage, reread: Reread) -> Seen:
        seen = refine_types(stage, subjects, reread, find)
        kinds = {name: seen.forms[name].kind if name in seen.forms else kind for name, kind in stage.types.items()}
        seen.notices += split_times(kinds, source_names, lambda name: first_values(stage, name))
        if above:  # the cells of those lines are all that is odd about its columns
            seen.notices = [one for one in seen.notices if " others: " not in one.message]
        seen.notices = footers_told(seen.notices, last_rows if len(job.sources) <= _MOST_SOURCES else [])
        return seen

    return Noted(look, tuple(notices), units, forms)


def _lacking(job: Job, own: UnitReader) -> list[Notice]:
    """A notice for each column that some of the sources don't have."""
    count = min(len(job.sources), _MOST_SOURCES)
    if count == 1:
        return []
    names = [set(chosen(job, own.reader(index)).values()) for index in range(count)]
    found = []
    for name in sorted(set.union(*names)):
        without = [own.job.sources[index].name for index in range(count) if name not in names[index]]
        if without:
            shown = ", ".join(without[:3]) + (", ..." if len(without) > 3 else "")
            said = f"{len(without):,} of {count:,} sources don't have it, where it is missing: {shown}"
            found.append(Notice(name, said))
    return found


def _finder(job: Job, own: UnitReader, unit: Callable[[PieceKey], Unit]) -> FindLine:
    """Finds the line of a cell by reading the pieces that hold it again."""

    def find(name: str, cells: list[str], keys: list[PieceKey]) -> list[str]:
        found: dict[str, str] = {}
        for key in keys:
            at = unit(key)
            reader = own.reader(at.source)
            old = next((old for old, new in chosen(job, reader).items() if new == name), None)
            if old is None:
                continue
            piece = next(iter(reader.pieces(at, key[1])))
            parsed = reader.parse(piece, Request((old,), {old: pa.string()}))
            words = parsed.table[old].cast(pa.string()).to_pylist()
            for cell in cells:
                row = next((row for row, word in enumerate(words) if word is not None and _same(word, cell)), None)
                if cell not in found and row is not None:
                    ((line, _),) = reader.locate(piece, [int(parsed.ordinals()[row])])
                    where = f"{reader.where}: " if len(job.sources) > 1 else ""
                    found[cell] = f"{where}line {line}: {words[row]!r}"
            if len(found) == len(cells):
                break
        return [found[cell] for cell in cells if cell in found]

    return find


def _same(word: str, cell: str) -> bool:
    """Whether this is the cell, or the number that it stands for."""
    if word.strip() == cell:
        return True
    try:
        return float(word) == float(cell)
    except ValueError:
        return False
