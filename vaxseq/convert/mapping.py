"""The table of what becomes of a type, for the documentation, made by the code that decides it."""

from __future__ import annotations

import pyarrow as pa

from vaxseq.convert.readers.storable_types import storable_type
from vaxseq.convert.writers import writers
from vaxseq.dataset.schema import type_name, type_of
from vaxseq.errors import SchemaError

_WHOLE = "int8 int16 int32 int64 uint8 uint16 uint32 uint64"
_UNITS = ("s", "ms", "us", "ns")
_ROWS: tuple[tuple[str, tuple[pa.DataType, ...], str], ...] = (
    ("bool", (pa.bool_(),), ""),
    ("int8 to int64, uint8 to uint64", tuple(map(type_of, _WHOLE.split())),
     "exact beyond 2^53, beside missing values too"),
    ("float16", (pa.float16(),), ""),
    ("float32, float64", (pa.float32(), pa.float64()), ""),
    ("text", (pa.string(), pa.large_string(), pa.string_view()),
     "`category` where at most 32,768 values occur, each four times on average"),
    ("dictionary of text", (pa.dictionary(pa.int8(), pa.string()),),
     "one dictionary in order of first appearance; plain text in HDF5 where a value is missing"),
    ("date in days", (pa.date32(),), ""),
    ("date in milliseconds", (pa.date64(),), ""),
    ("timestamp[s], [ms], [us], [ns]", tuple(map(pa.timestamp, _UNITS)), ""),
    ("timestamp[us, Europe/Paris]", (pa.timestamp("us", "Europe/Paris"),),
     "the instant in UTC; the schema has the zone"),
    ("time[us]", (pa.time64("us"),), "HDF5: since midnight"),
    ("duration[s], [ms], [us], [ns]", tuple(map(pa.duration, _UNITS)), ""),
    ("decimal(18,0)", (pa.decimal128(18, 0),), "whole numbers of up to 18 digits"),
    ("decimal(15,2)", (pa.decimal128(15, 2),), "up to 15 digits survive a float64"),
    ("decimal(38,6)", (pa.decimal128(38, 6),), "declare it as text or float64 for HDF5"),
    ("array column, float32[8,8]", (type_of("float32[8,8]"),), "numbers or bool; from tensors too"),
    ("nothing but missing values", (pa.null(),), ""),
    ("bytes", (pa.binary(),), "leave it out with `columns=`"),
)  # fmt: skip

_NESTED = (  # what a reader makes flat before a target sees it
    ("struct, JSON object", "a column a field", "`p.x`"),
    ("lists of numbers, all of one length", "an array column", "as the first rows show"),
    ("lists of numbers, of any length", "an array column and `x.length`",
     "padded with missing elements to the longest; `lists={'x': 16}` for another length"),
    ("lists of text", "text and `x.length`", "joined by `|`, as the step multi_hot takes it apart"),
    ("map of text", "a column a key", "of the first rows; `maps={'m': ['a', 'b']}` names others"),
)  # fmt: skip


def types_table() -> str:
    """A Markdown table: a type in the source, what it is in each target, and what to know."""
    names = sorted(writers())
    lines = ["| in the source | " + " | ".join(f"in `.{name}`" for name in names) + " | |"]
    lines.append("|---|" + "---|" * (len(names) + 1))
    for shown, kinds, note in _ROWS:
        lines.append("| " + " | ".join([shown, *(_in_target(kinds, name) for name in names), note]) + " |")
    lines += ["| " + " | ".join([shown, *([made] * len(names)), note]) + " |" for shown, made, note in _NESTED]
    return "\n".join(lines)


def _in_target(kinds: tuple[pa.DataType, ...], format_name: str) -> str:
    found = []
    for kind in kinds:
        try:
            held = writers()[format_name].kind(storable_type(kind, "", "x"), "x")
        except SchemaError:
            return "refused"
        found.append("the same" if type_name(held) == type_name(kind) else type_name(held))
    return ", ".join(dict.fromkeys(found))
