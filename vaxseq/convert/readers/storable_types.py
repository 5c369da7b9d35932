"""Which Arrow types a dataset can hold, and the neighbours that stand for the others."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vaxseq.convert.readers.base import unsupported
from vaxseq.convert.type_promotion import CATEGORY, is_text
from vaxseq.dataset.table_columns import repeated_names
from vaxseq.errors import SchemaError


def storable_type(kind: pa.DataType, where: str, column: str) -> pa.DataType:
    """The type that a dataset holds this one's values in, exactly.

    Raises:
        SchemaError: none does.
    """
    if isinstance(kind, pa.BaseExtensionType):
        if isinstance(kind, pa.FixedShapeTensorType):
            inner = kind.value_type
            for size in reversed(_logical_shape(kind, where, column)):
                inner = pa.list_(inner, size)
            return inner
        if kind.extension_name == "pandas.period":  # its integers mean nothing without their frequency
            raise unsupported(where, column, kind, "Turn the periods into timestamps first.")
        return storable_type(kind.storage_type, where, column)
    if pa.types.is_dictionary(kind):
        return CATEGORY if is_text(kind) else storable_type(kind.value_type, where, column)
    if is_text(kind):
        return pa.string()
    if pa.types.is_fixed_size_list(kind):
        inner = storable_type(kind.value_type, where, column)
        while pa.types.is_fixed_size_list(leaf := inner):
            inner = leaf.value_type
        if not (pa.types.is_integer(inner) or pa.types.is_floating(inner) or pa.types.is_boolean(inner)):
            raise unsupported(where, column, kind, "An array column holds numbers; leave it out with columns=.")
        return pa.list_(storable_type(kind.value_type, where, column), kind.list_size)
    if pa.types.is_date64(kind):
        return pa.timestamp("ms")
    if pa.types.is_decimal(kind):
        if kind.precision > 38:
            raise unsupported(
                where, column, kind, "A decimal has at most 38 digits here; declare another type in schema=."
            )
        return pa.decimal128(kind.precision, kind.scale)
    plain = (pa.types.is_primitive(kind) and not pa.types.is_interval(kind)) or pa.types.is_null(kind)
    if plain:
        return kind
    raise unsupported(where, column, kind, "Leave it out with columns=, or flatten it before converting.")


def _logical_shape(kind: pa.FixedShapeTensorType, where: str, column: str) -> list[int]:
    """Sizes by the axes that the permutation names. Source: Arrow's canonical extension types, fixed shape tensor."""
    order = list(kind.permutation or range(len(kind.shape)))
    if any(order[axis] != place for place, axis in enumerate(order)):
        remedy = "Store them in the order of their axes: pyarrow itself reads a cyclic permutation wrong."
        raise unsupported(where, column, kind, remedy)
    return [kind.shape[axis] for axis in order]


def wanted_schema(schema: pa.Schema, where: str) -> pa.Schema:
    """The schema with storable types; a column that can't be converted keeps its type, refused when it is asked for."""
    fields = []
    for field in schema:
        try:
            kind = storable_type(field.type, where, field.name)
        except SchemaError:
            kind = field.type
        fields.append(pa.field(field.name, kind))
    names = [field.name for field in fields]
    if double := repeated_names(names):
        raise SchemaError(f"{where}: column names must differ; got {double} twice. Rename them at the source.")
    return pa.schema(fields)


def storable(table: pa.Table) -> pa.Table:
    """The table with every column in its storable type."""
    for index, field in enumerate(table.schema):
        try:
            kind = storable_type(field.type, "", field.name)
        except SchemaError:
            continue
        if not field.type.equals(kind):
            table = table.set_column(index, field.name, _as(table[field.name], kind))
    return table


def _as(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if isinstance(column.type, pa.BaseExtensionType):
        order = column.type.permutation if isinstance(column.type, pa.FixedShapeTensorType) else None
        if order is not None:
            return pa.chunked_array([_permuted(chunk, list(order), kind) for chunk in column.chunks], kind)
        return pa.chunked_array([_reshaped(chunk.storage, kind) for chunk in column.chunks], kind)
    if pa.types.is_dictionary(column.type):
        if kind == CATEGORY:
            return (
                column.cast(CATEGORY)
                if column.type.value_type == pa.string()
                else column.cast(column.type.value_type).cast(kind)
            )
        return column.cast(column.type.value_type).cast(kind)
    if pa.types.is_fixed_size_list(kind):
        return pa.chunked_array([_retyped(chunk, kind) for chunk in column.chunks], kind)
    return pc.cast(column, kind)


def _retyped(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """The same lists under the project's field names."""
    if not pa.types.is_fixed_size_list(kind):
        return array if array.type.equals(kind) else array.cast(kind)
    values = array.values.slice(array.offset * array.type.list_size, len(array) * array.type.list_size)
    mask = array.is_null() if array.null_count else None
    return pa.FixedSizeListArray.from_arrays(_retyped(values, kind.value_type), type=kind, mask=mask)


def _permuted(tensors: pa.Array, order: list[int], kind: pa.DataType) -> pa.Array:
    """Tensors with their axes in logical order."""
    storage, shape = tensors.storage, tensors.type.shape
    places = np.arange(int(np.prod(shape))).reshape(shape).transpose(order).ravel()
    width = len(places)
    every = (np.arange(len(storage))[:, None] * width + places).ravel() + storage.offset * width
    mask = storage.is_null() if storage.null_count else None
    return nested(storage.values.take(pa.array(every)), kind, mask)


def _reshaped(storage: pa.Array, kind: pa.DataType) -> pa.Array:
    """A tensor's flat lists as nested ones."""
    if not pa.types.is_fixed_size_list(storage.type) or not pa.types.is_fixed_size_list(kind):
        return storage if storage.type.equals(kind) else storage.cast(kind)
    width = storage.type.list_size
    values = storage.values.slice(storage.offset * width, len(storage) * width)
    return nested(values, kind, storage.is_null() if storage.null_count else None)


def nested(values: pa.Array, kind: pa.DataType, mask: pa.Array | None = None) -> pa.Array:
    """Flat values as (nested) fixed-size lists of ``kind``, C order."""
    kinds = []
    while pa.types.is_fixed_size_list(kind):
        kinds.append(kind)
        kind = kind.value_type
    values = values if values.type.equals(kind) else values.cast(kind)
    for depth, one in enumerate(reversed(kinds)):
        outer = depth == len(kinds) - 1
        values = pa.FixedSizeListArray.from_arrays(values, type=one, mask=mask if outer else None)
    return values
