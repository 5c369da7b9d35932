"""The order of types: which type holds the values of two, and casts along it that lose nothing."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from vaxseq.convert.lists import fixed_lists
from vaxseq.dataset.schema import type_name
from vaxseq.errors import SchemaError

EXACT_INTEGER = 2**53  # up to here every integer is a float64
CATEGORY = pa.dictionary(pa.int32(), pa.string())
_UNITS = ("s", "ms", "us", "ns")


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds text, dictionary-encoded or not."""
    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def common_type(a: pa.DataType, b: pa.DataType, *, grow: bool = False) -> pa.DataType | None:
    """The smallest type that holds both columns' values exactly as typed data, or None when only text would.

    null < everything; integers and floats widen; date < timestamp; time units refine; text absorbs a dictionary. With
    ``grow`` the longer of two lengths holds array columns of both, padded with missing elements.

    >>> common_type(pa.int64(), pa.float64())
    DataType(double)
    """
    if a.equals(b) or pa.types.is_null(b):
        return a
    if pa.types.is_null(a):
        return b
    if is_text(a) and is_text(b):
        return pa.string() if pa.types.is_string(a) or pa.types.is_string(b) else pa.large_string()
    if _is_numeric(a) and _is_numeric(b):
        return _number(a, b)
    if pa.types.is_timestamp(a) and pa.types.is_timestamp(b):
        if (a.tz is None) != (b.tz is None):
            return None
        return pa.timestamp(_finer(a.unit, b.unit), a.tz if a.tz == b.tz else "UTC")
    for first, second in ((a, b), (b, a)):
        if pa.types.is_date(first) and pa.types.is_timestamp(second) and second.tz is None:
            return second
    if pa.types.is_date(a) and pa.types.is_date(b):
        return pa.date64()
    if pa.types.is_duration(a) and pa.types.is_duration(b):
        return pa.duration(_finer(a.unit, b.unit))
    if pa.types.is_time(a) and pa.types.is_time(b):
        unit = _finer(a.unit, b.unit)
        return pa.time32(unit) if unit in ("s", "ms") else pa.time64(unit)
    if pa.types.is_decimal(a) and pa.types.is_decimal(b):
        scale = max(a.scale, b.scale)
        digits = max(a.precision - a.scale, b.precision - b.scale) + scale
        return pa.decimal128(digits, scale) if digits <= 38 else None
    if pa.types.is_fixed_size_list(a) and pa.types.is_fixed_size_list(b) and (grow or a.list_size == b.list_size):
        inner = common_type(a.value_type, b.value_type)
        return None if inner is None else pa.list_(inner, max(a.list_size, b.list_size))
    return None


def cast_exactly(column: pa.ChunkedArray, kind: pa.DataType, where: str) -> pa.ChunkedArray:
    """``column`` as ``kind``, which must be above its own type; refuses what would round.

    Raises:
        SchemaError: an integer beyond 2**53 would become a float64, or there is no exact cast.
    """
    if column.type.equals(kind):
        return column
    if pa.types.is_integer(column.type) and pa.types.is_floating(kind):
        back = column.cast(kind, safe=False).cast(column.type, safe=False)
        if len(rounded := column.filter(pc.not_equal(back, column))):
            worst = rounded[0].as_py()
            raise SchemaError(
                f"{where}: integers beyond 2**53 next to fractions; got {worst}, which a {type_name(kind)} would "
                "round. "
                f"Declare the column in schema= as text or decimal(38,0), or as float64 to accept rounding."
            )
    try:
        if pa.types.is_fixed_size_list(kind) and 0 < column.type.list_size < kind.list_size:
            column = pa.chunked_array(
                [fixed_lists(chunk, kind.list_size) for chunk in column.chunks],
                pa.list_(column.type.value_type, kind.list_size),
            )
        if pa.types.is_dictionary(column.type):
            return column.cast(column.type.value_type).cast(kind)
        return column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SchemaError(
            f"{where}: got {type_name(column.type)}, expected {type_name(kind)}: {error}. "
            f"Declare a type in schema= that holds every value."
        ) from error


def _is_numeric(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _number(a: pa.DataType, b: pa.DataType) -> pa.DataType | None:
    if pa.types.is_floating(a) or pa.types.is_floating(b):
        wide = max(_float_bits(a), _float_bits(b))
        return {16: pa.float16(), 32: pa.float32(), 64: pa.float64()}[wide]
    if pa.types.is_boolean(a) or pa.types.is_boolean(b):
        return b if pa.types.is_boolean(a) else a
    signed = pa.types.is_signed_integer(a), pa.types.is_signed_integer(b)
    if signed[0] == signed[1]:
        return a if a.bit_width >= b.bit_width else b
    unsigned, other = (b, a) if signed[0] else (a, b)
    bits = max(unsigned.bit_width * 2, other.bit_width)
    return {16: pa.int16(), 32: pa.int32(), 64: pa.int64()}.get(bits)  # uint64 with signed has no type of its own


def _float_bits(kind: pa.DataType) -> int:
    if pa.types.is_floating(kind):
        return int(kind.bit_width)
    # an integer column needs the float that holds its whole range, checked value by value beyond 2**53
    return 16 if pa.types.is_boolean(kind) or kind.bit_width == 8 else 32 if kind.bit_width == 16 else 64


def _finer(a: str, b: str) -> str:
    return _UNITS[max(_UNITS.index(a), _UNITS.index(b))]
