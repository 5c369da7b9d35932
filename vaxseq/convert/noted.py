"""What a conversion's readers tell beside rows: which columns a second look may take, their units, lines to show."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from vaxseq.convert.commit import Noted
from vaxseq.convert.forms.looking import Subject
from vaxseq.convert.piece import Job, UnitReader, chosen, declared_types
from vaxseq.convert.readers import readers
from vaxseq.convert.readers.base import Request, Unit
from vaxseq.convert.readers.delimited import TextReader
from vaxseq.convert.second_look import FindLine, look_again
from vaxseq.convert.stage import PieceKey
from vaxseq.dataset.notice import Notice

_MOST_SOURCES = 1000  # whose layouts are looked at for notices


def noted_in(job: Job, own: UnitReader, unit: Callable[[PieceKey], Unit]) -> Noted:
    """Everything that the commit notes of these sources."""
    subjects: dict[str, Subject] = {}
    units: dict[str, str] = {}
    notices: list[Notice] = []
    forms: dict[str, str] = {}
    if all(readers()[source.format].is_text for source in job.sources):
        for index in range(min(len(job.sources), _MOST_SOURCES)):
            reader = own.reader(index)
            assert isinstance(reader, TextReader)
            notices += [one for one in reader.notices if one not in notices]
            for old, new in chosen(job, reader).items():
                if (mark := reader.column_units().get(old)) is not None:
                    units.setdefault(new, mark)
                if (form := reader.forms.get(old)) is not None:
                    forms.setdefault(new, form)
                subjects.setdefault(new, reader.subject(old))
    for name in declared_types(job):
        subjects.pop(name, None)
    subjects = {name: one for name, one in subjects.items() if name not in forms}
    find = _finder(job, own, unit)
    return Noted(lambda stage, reread: look_again(stage, subjects, reread, find), tuple(notices), units, forms)


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
