"""Nested Arrow columns as flat ones: structs by their fields, maps by their keys, lists as array columns or text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vaxseq.convert.lists import bounds, fixed_lists, is_list, lengths, lists_of, plain_list
from vaxseq.convert.readers.base import BadRow, Parsed, Piece, Request, TypedReader, bad_option
from vaxseq.convert.readers.storable_types import storable, storable_type, wanted_schema
from vaxseq.convert.type_promotion import is_text
from vaxseq.dataset.table_columns import repeated_names
from vaxseq.errors import SchemaError, SourceError, VaxseqError

OPTIONS: Mapping[str, Any] = {"lists": None, "maps": None}
_DAMAGE = (OSError, ValueError, KeyError, OverflowError, MemoryError, pa.ArrowException)
LENGTH = ".length"  # of a list column whose rows differ in length
RAGGED, DELIMITER = "ragged", "|"
LONGEST, MOST_KEYS = 4096, 256  # unasked


class Nesting:
    """Which flat columns the nested ones of a source make; what its first rows leave open, an option says.

    A list of numbers is an array column where all rows of the first look have one length. Otherwise it is padded with
    missing elements to the longest, and a column ``name.length`` has each row's length. A list of texts is one text,
    joined by ``|`` (what the step multi_hot reads), beside its length.
    """

    def __init__(self, where: str, options: Mapping[str, Any]) -> None:
        self.where = where
        self._lists = checked_lists(where, options.get("lists"))
        self._keys = _checked_maps(where, options.get("maps"))
        self._asked = frozenset(self._keys)
        self._fixed: dict[str, int] = {}
        self._widths: dict[str, int] = {}

    def flat(self, table: pa.Table, names: Iterable[str] | None = None) -> tuple[pa.Table, list[BadRow]]:
        """The flat columns of these (all) nested ones, and rows that don't fit what was asked; these are null in it."""
        bad: list[BadRow] = []
        columns: list[tuple[str, Any]] = []
        for name in table.column_names if names is None else names:
            if not is_nested(table.schema.field(name).type):
                columns.append((name, table[name]))
                continue
            array = table[name].combine_chunks()
            if isinstance(array, pa.ChunkedArray):
                array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], table[name].type)
            columns += self._expanded(name, array, bad)
        return pa.Table.from_arrays([one for _, one in columns], [name for name, _ in columns]), bad

    def _expanded(self, name: str, array: pa.Array, bad: list[BadRow]) -> Iterator[tuple[str, pa.Array]]:
        kind = array.type
        if pa.types.is_struct(kind):
            for index, field in enumerate(kind):
                yield from self._expanded(f"{name}.{field.name}", pc.struct_field(array, [index]), bad)
        elif pa.types.is_map(kind):
            yield from self._of_map(name, array, bad)
        elif is_list(kind) and not _is_array_column(kind):
            yield from self._of_list(name, plain_list(array), bad)
        else:
            yield name, array

    def _of_map(self, name: str, array: pa.Array, bad: list[BadRow]) -> Iterator[tuple[str, pa.Array]]:
        if not is_text(array.type.key_type):
            yield name, array
            return
        offsets, absent = bounds(array)
        keys, items = array.keys.cast(pa.string()), array.items
        found = [key for key in pc.unique(keys.slice(offsets[0], offsets[-1] - offsets[0])).to_pylist() if key]
        known = self._keys.get(name)
        if known is None or (not known and name not in self._asked):
            if len(found) > MOST_KEYS:
                raise SchemaError(
                    f"{self.where}: column {name!r}: a map of {len(found):,} keys in the first rows; got {found[:3]} "
                    f"and others, expected up to {MOST_KEYS}. Name the keys that are to be columns: "
                    f"maps={{{name!r}: [{found[0]!r}, ...]}}.",
                    options={"maps": {name: found}},
                )
            known = self._keys[name] = found
        elif name not in self._asked and (new := [key for key in found if key not in known]):
            raise SchemaError(
                f"{self.where}: column {name!r}: the key {new[0]!r} isn't in the first rows. Name the keys that are to "
                f"be columns: maps={{{name!r}: {[*known, *new]}}}.",
                options={"maps": {name: [*known, *new]}},
            )
        parents = np.repeat(np.arange(len(array)), np.diff(offsets))
        inside = keys.slice(offsets[0], offsets[-1] - offsets[0])
        for key in known:
            hits = np.flatnonzero(np.asarray(pc.equal(inside, key), dtype=bool) & ~absent[parents])
            places = np.full(len(array), -1)
            places[parents[hits]] = hits + offsets[0]
            if len(np.unique(parents[hits])) < len(hits):
                raise SchemaError(f"{self.where}: column {name!r}: a map has the key {key!r} twice in a row.")
            values = items.take(pa.array(places, mask=places < 0))
            yield from self._expanded(f"{name}.{key}", values, bad)

    def _of_list(self, name: str, array: pa.Array, bad: list[BadRow]) -> Iterator[tuple[str, pa.Array]]:
        kind = array.type.value_type
        if pa.types.is_struct(kind):
            for index, field in enumerate(kind):
                values = pc.struct_field(array.values, [index])
                yield from self._of_list(f"{name}.{field.name}", lists_of(array, values), bad)
            return
        if is_list(kind) and not _is_array_column(kind):
            if (inner := self._regular(f"{name}[]", plain_list(array.values))) is None:
                yield name, array  # refused when it is asked for
                return
            array = lists_of(array, inner)
            kind = inner.type
        asked = self._lists.get(name, self._lists.get("*"))
        if is_text(kind) or (isinstance(asked, str) and asked != RAGGED):
            yield from self._joined(name, array, asked if isinstance(asked, str) else DELIMITER)
        elif _is_number(kind) or _is_array_column(kind):
            yield from self._padded(name, array, asked, bad)
        else:
            yield name, array

    def _joined(self, name: str, array: pa.Array, delimiter: str) -> Iterator[tuple[str, pa.Array]]:
        words = array.values.cast(pa.string())
        offsets, _ = bounds(array)
        inside = words.slice(offsets[0], offsets[-1] - offsets[0])
        if pc.any(pc.match_substring(inside, delimiter)).as_py():
            raise SchemaError(
                f"{self.where}: column {name!r}: a text in its lists holds {delimiter!r}, by which they are joined. "
                f"Pass another delimiter: lists={{{name!r}: ';;'}}.",
                options={"lists": {name: ";;"}},
            )
        yield name, pc.binary_join(lists_of(array, pc.fill_null(words, "")), delimiter)
        yield name + LENGTH, lengths(array)

    def _padded(self, name: str, array: pa.Array, asked: Any, bad: list[BadRow]) -> Iterator[tuple[str, pa.Array]]:
        sizes = lengths(array)
        longest = pc.max(sizes).as_py() or 0
        if asked is None and name not in self._widths:
            if name not in self._fixed and longest and pc.min(sizes).as_py() == longest:
                self._fixed[name] = longest
            if (width := self._fixed.get(name)) is not None:
                self._check_equal(name, sizes, width)
                yield name, fixed_lists(array, width)
                return
        if isinstance(asked, int):
            wrong = np.asarray(pc.fill_null(pc.greater(sizes, asked), False), dtype=bool)
            for row in np.flatnonzero(wrong).tolist():
                bad.append(BadRow(row, name, None, f"a list of {sizes[row]} elements, expected up to {asked}"))
            yield name, fixed_lists(array, asked)
        else:
            self._widths[name] = width = max(self._widths.get(name, 1), longest)
            if width > LONGEST:
                raise SchemaError(
                    f"{self.where}: column {name!r}: a list of {width:,} elements, expected up to {LONGEST:,} where "
                    f"lengths differ. Say to which length they are padded: lists={{{name!r}: {width}}}.",
                    options={"lists": {name: width}},
                )
            yield name, fixed_lists(array, width)
        yield name + LENGTH, sizes

    def _check_equal(self, name: str, sizes: pa.Array, width: int) -> None:
        other = sizes.filter(pc.fill_null(pc.not_equal(sizes, width), False))
        if len(other):
            raise SchemaError(
                f"{self.where}: column {name!r}: a list of {other[0]} elements after lists of {width}. Pass "
                f"lists={{{name!r}: 'ragged'}} to pad them with missing elements.",
                options={"lists": {name: RAGGED}},
            )

    def _regular(self, name: str, array: pa.Array) -> pa.Array | None:
        """Inner lists as arrays, where all have one length."""
        kind = array.type.value_type
        if is_list(kind) and not _is_array_column(kind):
            if (inner := self._regular(f"{name}[]", plain_list(array.values))) is None:
                return None
            array, kind = lists_of(array, inner), inner.type
        if not (_is_number(kind) or _is_array_column(kind)):
            return None
        sizes = lengths(array)
        width = self._fixed.setdefault(name, pc.max(sizes).as_py() or 1)
        if pc.any(pc.not_equal(sizes, width)).as_py():
            return None
        return fixed_lists(array, width)


class NestedReader(TypedReader):
    """A typed reader whose pieces may be nested: they are made flat when they are parsed."""

    nesting: Nesting
    flat_schema: pa.Schema | None = None

    def nested_schema(self) -> pa.Schema:
        """The source's own columns."""
        raise NotImplementedError

    def look(self, names: list[str]) -> Iterator[pa.Table]:
        """The first rows of these columns, which show what their types don't."""
        raise NotImplementedError

    def schema(self) -> pa.Schema:
        if self.flat_schema is None:
            try:
                self.flat_schema = self._look()
            except _DAMAGE as error:
                if isinstance(error, VaxseqError):
                    raise
                raise SourceError(f"{self.where}: can't read its columns: {error}. The file is damaged.") from error
        return self.flat_schema

    def unreadable(self) -> Mapping[str, str]:
        found = {}
        for one in self.schema():
            if not pa.types.is_decimal(one.type):  # another type may be declared for those
                try:
                    storable_type(one.type, "", one.name)
                except SchemaError as error:
                    found[one.name] = str(error).partition(f"column {one.name!r}: ")[2].removesuffix(".")
        return found

    def _look(self) -> pa.Schema:
        own = self.nested_schema()
        check_distinct(own.names, self.where)
        self.nesting = Nesting(self.where, self.set)
        nested = [field.name for field in own if is_nested(field.type)]
        if nested:
            for table in self.look(nested):
                self.nesting.flat(table, nested)
                break
        empty = pa.Table.from_arrays([_no_rows(one.type) for one in own], names=own.names)
        return wanted_schema(self.nesting.flat(empty)[0].schema, self.where)

    def parse(self, piece: Piece, request: Request) -> Parsed:
        self.schema()
        names = [name for name in piece.raw.column_names if _makes_any(name, request.columns)]
        table, bad = self.nesting.flat(piece.raw, names)
        table = storable(table.select(list(request.columns)))
        if not bad:
            return Parsed(table)
        keep = np.ones(table.num_rows, bool)
        keep[[one.row for one in bad]] = False
        return Parsed(table.filter(pa.array(keep)), bad, np.flatnonzero(keep))

    def own_columns(self) -> list[str]:
        """The source's columns that the chosen flat ones are made of."""
        names = self.nested_schema().names
        return names if self.chosen is None else [name for name in names if _makes_any(name, self.chosen)]


def is_nested(kind: pa.DataType) -> bool:
    """Whether a column of this type isn't flat as it is."""
    return pa.types.is_struct(kind) or pa.types.is_map(kind) or (is_list(kind) and not _is_array_column(kind))


def checked_lists(where: str, given: Any) -> dict[str, int | str]:
    """The option ``lists`` by column; ``*`` is every one."""
    if given is None:
        return {}
    found = dict(given) if isinstance(given, Mapping) else {"*": given}
    for value in found.values():
        number = isinstance(value, int) and not isinstance(value, bool) and value > 0
        word = isinstance(value, str) and value and (value == RAGGED or not any(one.isalnum() for one in value))
        if not (number or word):
            raise bad_option(where, "lists", given, "by column a length, 'ragged', or a delimiter such as '|'")
    return found


def check_distinct(names: list[str], where: str) -> None:
    """Refuses a source with two columns of one name.

    Raises:
        SchemaError: naming them.
    """
    if double := repeated_names(names):
        raise SchemaError(f"{where}: column names must differ; got {double} twice. Rename them at the source.")


def _no_rows(kind: pa.DataType) -> pa.Array:
    if isinstance(kind, pa.BaseExtensionType):  # pa.array doesn't know each of them
        return pa.ExtensionArray.from_storage(kind, _no_rows(kind.storage_type))
    return pa.nulls(0, kind)  # of a list, pa.array imports pandas


def _makes_any(own: str, flat: Iterable[str]) -> bool:
    return any(name == own or name.startswith(own + ".") for name in flat)


def _checked_maps(where: str, given: Any) -> dict[str, list[str]]:
    if given is None:
        return {}
    if not isinstance(given, Mapping) or any(isinstance(keys, str) for keys in given.values()):
        raise bad_option(where, "maps", given, "by column a list of keys, {'tags': ['a', 'b']}")
    return {name: [str(key) for key in keys] for name, keys in given.items()}


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _is_array_column(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.BaseExtensionType):
        return True
    depth = 0
    while pa.types.is_fixed_size_list(kind):
        kind, depth = kind.value_type, depth + 1
    return depth > 0 and not (pa.types.is_struct(kind) or is_list(kind) or pa.types.is_map(kind) or is_text(kind))
