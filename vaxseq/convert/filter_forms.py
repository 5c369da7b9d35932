"""The forms of columns that ``where`` names, decided before the rows are read, since it selects while they are."""

from __future__ import annotations

from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vaxseq.convert.forms.suggestion import decide
from vaxseq.convert.readers import readers
from vaxseq.convert.readers.base import Request
from vaxseq.convert.readers.delimited import TextReader
from vaxseq.convert.type_promotion import is_text
from vaxseq.convert.unit_reader import Job, UnitReader, chosen, declared_types
from vaxseq.expressions import parse


def filter_forms(job: Job, own: UnitReader) -> dict[str, str]:
    """Forms by the source's names; reads these columns of all sources once where they look like numbers or times."""
    if job.where is None or not all(readers()[source.format].is_text for source in job.sources):
        return {}
    names = parse(job.where, where="where").names - set(declared_types(job))
    found = {}
    for name in sorted(names):
        if (form := _form_of(job, own, name)) is not None:
            found[{new: old for old, new in job.rename.items()}.get(name, name)] = form
    return found


def _form_of(job: Job, own: UnitReader, name: str) -> str | None:
    look = None
    for index in range(len(job.sources)):
        reader = cast("TextReader", own.reader(index))  # or such a one, its columns made otherwise
        old = next((old for old, new in chosen(job, reader).items() if new == name), None)
        if old is None:
            continue
        if old in reader.forms or (look is None and not is_text(reader.schema().field(old).type)):
            return None
        look = look or reader.subject(old).look()
        for unit in reader.units(index):
            for piece in reader.pieces(unit):
                cells = reader.parse(piece, Request((old,), {old: pa.string()}, frozenset((old,)))).table[old]
                counted = pc.value_counts(cells.drop_null())
                look.take(counted.field("values"), np.asarray(counted.field("counts")))
                if not look.alive:
                    return None
    decided = None if look is None else decide(look)
    return None if decided is None else decided.form
