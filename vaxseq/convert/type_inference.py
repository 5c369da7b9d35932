"""Types from text: which type a column's cells have, and cells as values of a demanded type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vaxseq.convert.type_promotion import EXACT_INTEGER, is_text
from vaxseq.dataset.schema import type_name
from vaxseq.errors import SchemaError

TRUE_TOKENS = ("true", "True", "TRUE")
FALSE_TOKENS = ("false", "False", "FALSE")
NULL_TOKENS = ("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
               "N/A", "NA", "NULL", "NaN", "n/a", "nan", "null")  # fmt: skip
_INTEGER = r"^[+-]?(?:0|[1-9][0-9]*)$"
_CODE = r"^[+-]?(?:0[0-9]+|0[xX].*)$"  # an integer to a parser, but not to its owner: 00123, 0x1F
_NUMBER = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"
_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_LOOSE_TRUE = ("1", "t", "T", "yes", "Yes", "YES", "y", "Y", *TRUE_TOKENS)
_LOOSE_FALSE = ("0", "f", "F", "no", "No", "NO", "n", "N", *FALSE_TOKENS)


@dataclass(frozen=True, slots=True)
class TextFormat:
    """How numbers and times are written in a text source."""

    decimal: str = "."
    timestamp_formats: tuple[str, ...] = ()
    nulls: tuple[str, ...] = ("",)


def null_tokens(given: Any) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """The tokens of missing values in every column, and those of single columns beside them."""
    if given is None:
        return NULL_TOKENS, {}
    if isinstance(given, Mapping):
        return NULL_TOKENS, {str(name): _tokens(one) for name, one in given.items()}
    return tuple(dict.fromkeys(["", *_tokens(given)])), {}


def _tokens(given: Any) -> tuple[str, ...]:
    return (str(given),) if isinstance(given, str | int | float) else tuple(map(str, given))


def without_marks(cells: pa.Array, nulls: tuple[str, ...]) -> pa.Array:
    """Cells, null where one is a mark of a missing value: with blanks around it, or the same number otherwise written.

    >>> without_marks(pa.array([" NA ", "-9999.0", "5"]), ("NA", "-9999")).to_pylist()
    [None, None, '5']
    """
    trimmed = pc.utf8_trim_whitespace(cells)
    absent = pc.is_in(trimmed, pa.array(nulls, pa.string()))
    if numbers := number_marks(nulls):
        like = pc.match_substring_regex(trimmed, _NUMBER)
        values = pc.if_else(pc.fill_null(like, False), trimmed, pa.scalar(None, pa.string())).cast(pa.float64())
        absent = pc.or_(absent, pc.and_(pc.is_valid(values), pc.is_in(values, pa.array(numbers, pa.float64()))))
    return pc.if_else(pc.fill_null(absent, False), pa.scalar(None, pa.string()), cells)


def number_marks(nulls: tuple[str, ...]) -> list[float]:
    """Marks of missing values that are numbers."""
    return [float(one) for one in nulls if pc.match_substring_regex(pa.array([one.strip()]), _NUMBER)[0].as_py()]


def infer(cells: pa.Array, how: TextFormat, where: str) -> pa.DataType:
    """The smallest type that every cell fits: null, bool, int64, float64, date, timestamp, or text.

    Raises:
        SchemaError: fractions next to integers that a float64 would round.

    >>> infer(pa.array(["1", "2.5", None]), TextFormat(), "x")
    DataType(double)
    """
    cells = cells.drop_null()
    if len(cells) == 0:
        return pa.null()
    cells = pc.utf8_trim_whitespace(cells)
    if _all(pc.is_in(cells, pa.array(TRUE_TOKENS + FALSE_TOKENS))):
        return pa.bool_()
    if (number := _infer_number(cells, how, where)) is not None:
        return number
    if _all(pc.match_substring_regex(cells, _DATE)) and _casts(cells, pa.date32()):
        return pa.date32()
    for zone in (None, "UTC"):
        for unit in ("s", "ms", "us", "ns"):
            if _casts(cells, pa.timestamp(unit, zone)):
                return pa.timestamp(unit, zone)
    for layout in how.timestamp_formats:
        parsed = _strptime(cells, layout, "us")
        if parsed.null_count == 0:
            return pa.timestamp("us", "UTC" if "%z" in layout else None)
    return pa.string()


def parse(cells: pa.Array, kind: pa.DataType, how: TextFormat) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
    """Cells as values of ``kind``, and which rows could not be; those are null in the values."""
    bad = np.zeros(len(cells), dtype=bool)
    parts = list(_converted(cells, kind, how, 0, bad))
    return pa.concat_arrays(parts) if parts else pa.array([], kind), bad


def _converted(cells: pa.Array, kind: pa.DataType, how: TextFormat, at: int, bad: npt.NDArray[np.bool_]) -> Any:
    """Halves what fails, down to the single bad cell: cheap while bad cells are few."""
    if len(cells) == 0:
        return
    try:
        yield convert(cells, kind, how)
    except pa.ArrowInvalid:
        if len(cells) == 1:
            bad[at] = True
            yield pa.nulls(1, kind)
        else:
            half = len(cells) // 2
            yield from _converted(cells.slice(0, half), kind, how, at, bad)
            yield from _converted(cells.slice(half), kind, how, at + half, bad)


def convert(cells: pa.Array, kind: pa.DataType, how: TextFormat) -> pa.Array:
    """Text cells as ``kind``.

    Raises:
        pa.ArrowInvalid: a cell doesn't fit.
        SchemaError: text can't hold this type.
    """
    if is_text(kind):
        return cells.dictionary_encode() if pa.types.is_dictionary(kind) else cells.cast(kind)
    cells = pc.utf8_trim_whitespace(cells)
    cells = pc.if_else(pc.is_in(cells, pa.array(how.nulls)), pa.scalar(None, pa.string()), cells)
    if pa.types.is_null(kind):
        if cells.null_count < len(cells):
            raise pa.ArrowInvalid("a value in a column of nulls")
        return pa.nulls(len(cells))
    if pa.types.is_boolean(kind):
        true = pc.is_in(cells, pa.array(_LOOSE_TRUE))
        if not _all(pc.or_(true, pc.or_(pc.is_in(cells, pa.array(_LOOSE_FALSE)), pc.is_null(cells)))):
            raise pa.ArrowInvalid("not true or false")
        return pc.if_else(pc.is_null(cells), pa.scalar(None, pa.bool_()), true)
    if pa.types.is_timestamp(kind):
        return _timestamps(cells, kind, how)
    if pa.types.is_duration(kind):
        return cells.cast(pa.int64()).cast(kind)
    if pa.types.is_time(kind):
        instants = pc.binary_join_element_wise("1970-01-01T", cells, "").cast(pa.timestamp(kind.unit))
        return instants.cast(kind)
    if how.decimal != "." and (pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        if pc.any(pc.match_substring(cells, ".")).as_py():
            raise pa.ArrowInvalid("a point where commas are the decimal mark")
        cells = pc.replace_substring(cells, how.decimal, ".")
    if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind) or pa.types.is_date(kind):
        if pa.types.is_integer(kind) and pc.any(pc.match_substring_regex(cells, "[xX]")).as_py():
            raise pa.ArrowInvalid("hexadecimal")
        values = cells.cast(pa.float32()).cast(kind) if pa.types.is_float16(kind) else cells.cast(kind)
        if overflows(cells, values):
            raise pa.ArrowInvalid("beyond the type's range")
        return values
    raise SchemaError(
        f"a text source can't hold {type_name(kind)}. Declare a scalar type, or convert from a typed format."
    )


def overflows(cells: pa.Array, values: pa.Array) -> bool:
    """Whether a number in ``cells`` is infinite among ``values`` although its text isn't: ``1e400``."""
    if not pa.types.is_floating(values.type) or not pc.any(infinite := pc.is_inf(values)).as_py():
        return False
    return not _all(pc.match_substring(cells.filter(infinite), "inf", ignore_case=True))


def holds_codes(cells: pa.Array) -> bool:
    """Whether a cell looks like an integer but is a code: ``00123``, ``0x1F``."""
    return bool(pc.any(pc.match_substring_regex(pc.utf8_trim_whitespace(cells), _CODE)).as_py())


def count_codes(cells: pa.ChunkedArray) -> int:
    """How many cells are such codes."""
    if pa.types.is_dictionary(cells.type):
        return sum(_count_codes_encoded(chunk) for chunk in cells.chunks)
    return int(pc.sum(pc.match_substring_regex(cells, _CODE)).as_py() or 0)


def _count_codes_encoded(chunk: pa.DictionaryArray) -> int:
    which = pc.match_substring_regex(chunk.dictionary, _CODE)
    if not pc.any(which).as_py():
        return 0
    return int(pc.sum(pc.take(which, chunk.indices)).as_py() or 0)


def _infer_number(cells: pa.Array, how: TextFormat, where: str) -> pa.DataType | None:
    if holds_codes(cells):
        return None
    whole = pc.match_substring_regex(cells, _INTEGER)
    if _all(whole) and _casts(cells, pa.int64()):
        return pa.int64()
    if how.decimal != "." and pc.any(pc.match_substring(cells, ".")).as_py():
        return None
    points = pc.replace_substring(cells, how.decimal, ".") if how.decimal != "." else cells
    if not _casts(points, pa.float64()) or (
        how.decimal == "," and pc.any(pc.match_substring_regex(points, "[iIaA]")).as_py()
    ):
        return None
    if overflows(points, points.cast(pa.float64())):
        return None
    integers = cells.filter(whole)
    large = integers.filter(pc.greater_equal(pc.utf8_length(integers), 16)).to_pylist()
    rounded = [text for text in large if int(float(text)) != int(text)]
    if not rounded:
        return pa.float64()
    if any(abs(int(text)) >= 2**63 for text in rounded):
        return pa.string()
    raise SchemaError(
        f"{where}: integers beyond 2**53 ({EXACT_INTEGER}) next to fractions; got {rounded[0]}, which a float64 "
        "would round. "
        f"Declare the column in schema= as text or decimal(38,6), or as float64 to accept rounding."
    )


def _timestamps(cells: pa.Array, kind: pa.DataType, how: TextFormat) -> pa.Array:
    if not how.timestamp_formats:
        return cells.cast(kind)
    result = pa.nulls(len(cells), kind)
    for layout in how.timestamp_formats:
        parsed = _strptime(cells, layout, kind.unit)
        result = pc.coalesce(result, parsed.cast(kind) if parsed.type != kind else parsed)
    missing = pc.and_(pc.is_null(result), pc.is_valid(cells))
    if pc.any(missing).as_py():  # the declared layouts come first, ISO 8601 is always understood
        iso = pc.if_else(missing, cells, pa.scalar(None, pa.string())).cast(kind)
        result = pc.coalesce(result, iso)
    return result


def _strptime(cells: pa.Array, layout: str, unit: str) -> pa.Array:
    """Cells by a layout, null where they don't fit. Arrow makes 3 March of 31 February; here it doesn't fit."""
    parsed = pc.strptime(cells, format=layout, unit=unit, error_is_null=True)
    late = pc.and_(pc.less_equal(pc.day(parsed), 3), pc.match_substring_regex(cells, "29|30|31"))
    places = np.flatnonzero(np.asarray(pc.fill_null(late, False)))
    wrong = np.zeros(len(cells), bool)
    for place in places.tolist():
        cell = cells[place].as_py()
        wrong[place] = not _fits(cell, layout) and _is_impossible(cell, layout)
    if wrong.any():
        parsed = pc.if_else(pa.array(wrong), pa.scalar(None, parsed.type), parsed)
    return parsed


def _is_impossible(cell: str, layout: str) -> bool:
    """Whether the calendar doesn't have the day, and it isn't that Python reads the layout otherwise than Arrow."""
    return any(_fits(cell.replace(day, "28", 1), layout) for day in ("29", "30", "31") if day in cell)


def _fits(cell: str, layout: str) -> bool:
    try:
        datetime.strptime(cell, layout)  # noqa: DTZ007 - only whether it fits
    except ValueError:
        return False
    return True


def _casts(cells: pa.Array, kind: pa.DataType) -> bool:
    try:
        cells.slice(0, 8).cast(kind)  # a failing cast costs more than one that succeeds, and most fail at once
        cells.cast(kind)
    except pa.ArrowInvalid:
        return False
    return True


def _all(mask: pa.Array) -> bool:
    return bool(pc.all(mask).as_py())
