"""The types that a conversion starts with, from a first look at each source."""

from __future__ import annotations

import pyarrow as pa

from vaxseq.convert.readers import readers
from vaxseq.convert.readers.storable_types import storable_type
from vaxseq.convert.type_inference import TextFormat, infer
from vaxseq.convert.type_promotion import CATEGORY, common_type, is_text
from vaxseq.convert.unit_reader import Job, UnitReader, chosen, constants
from vaxseq.dataset.schema import type_name
from vaxseq.errors import ColumnNotFoundError, SchemaError, did_you_mean


def first_types(job: Job, fixed: dict[str, pa.DataType], own: UnitReader) -> dict[str, pa.DataType]:
    """Columns in order, each of the smallest type that the first look asks for."""
    types: dict[str, pa.DataType] = {}
    known: set[str] = set()
    for number, source in enumerate(job.sources):
        reader = own.reader(number)
        names = chosen(job, reader)
        known |= {*reader.schema_names(), *constants(job, source)}
        apart = bool(names) and not set(names.values()) & set(types)
        if number and apart:
            raise SchemaError(
                f"{reader.where}: no column is in {job.sources[0].name}, too; got {sorted(names)}. "
                "Convert the files apart, or name the columns alike with names=."
            )
        if number and readers()[source.format].is_text:  # its types are told when its turn comes
            types |= {new: fixed.get(new, pa.null()) for new in names.values() if new not in types}
            continue
        seen = reader.schema()
        seen_names = frozenset(seen.names)
        for old, new in names.items():
            if "\0" in new:
                raise SchemaError(
                    f"{reader.where}: column {new!r}: a name can't hold the character NUL. Rename it with rename=, or "
                    "repair the file: it may be in another encoding, or damaged."
                )
            kind = fixed.get(new) or storable_type(seen.field(old).type, reader.where, old)
            ragged = f"{old}.length" in seen_names  # the longest row tells its width
            wider = kind if new not in types else common_type(types[new], kind, grow=ragged)
            if wider is None:
                raise SchemaError(
                    f"{reader.where}: column {old!r}: got {type_name(kind)}, expected {type_name(types[new])} as in "
                    "the sources before. Declare one type for it in schema=."
                )
            # text is tried as a category; a column of many values gives it up
            types[new] = CATEGORY if is_text(wider) and new not in fixed else wider
    for asked in (*(job.columns or ()), *job.rename):
        if asked not in known:
            where = own.reader(0).where
            raise ColumnNotFoundError(f"{where}: no column {asked!r}.{did_you_mean(asked, known)}")
    parts: dict[str, list[str | None]] = {}
    for source in job.sources:
        for name, value in constants(job, source).items():
            parts.setdefault(name, []).append(value)
    for name, values in parts.items():
        if name in types:
            raise SchemaError(
                f"{job.sources[0].name}: column {name!r} is both in the file and in its path. Leave one out."
            )
        types[name] = fixed.get(name) or (
            pa.dictionary(pa.int32(), pa.string()) if name == job.path_column else _text_kind(values, name)
        )
    missing = [name for name in fixed if name not in types]
    if missing:
        where = job.sources[0].name
        raise SchemaError(f"schema: column {missing[0]!r} isn't in {where}.{did_you_mean(missing[0], types)}")
    if not types:
        raise SchemaError(f"{job.sources[0].name}: no columns to convert.")
    return types


def _text_kind(values: list[str | None], name: str) -> pa.DataType:
    kind = infer(pa.array(values, pa.string()), TextFormat(), f"partition {name!r}")
    return kind if pa.types.is_integer(kind) else pa.dictionary(pa.int32(), pa.string())
