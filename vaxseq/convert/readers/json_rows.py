"""JSON objects with objects and lists in them as flat rows, and what each list column is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vaxseq.convert.lists import fixed_lists, lengths
from vaxseq.convert.readers.nesting import DELIMITER, LENGTH, LONGEST, RAGGED
from vaxseq.errors import SchemaError

FIXED = "fixed"
Row = dict[str, Any]


def flat(row: Mapping[str, Any], prefix: str = "", into: Row | None = None) -> Row:
    """The row with ``p.x`` for what ``p`` holds; a list of objects becomes a list for each of their keys.

    >>> flat({"p": {"x": 1, "y": [2]}, "e": [{"t": 1}, {"t": 2}]})
    {'p.x': 1, 'p.y': [2], 'e.t': [1, 2]}
    """
    found: Row = {} if into is None else into
    for key, value in row.items():
        name = prefix + key
        if type(value) is dict and value:
            flat(value, name + ".", found)
        elif type(value) is list and any(type(one) is dict for one in value):
            if all(one is None or type(one) is dict for one in value):
                keys = dict.fromkeys(inner for one in value if one for inner in one)
                flat({inner: [None if one is None else one.get(inner) for one in value] for inner in keys},
                     name + ".", found)  # fmt: skip
            else:
                _put(found, name, value)
        else:
            _put(found, name, value)
    return found


def _put(found: Row, name: str, value: Any) -> None:
    if name in found:
        raise ValueError(f"the key {name!r} is there twice, once as a path")
    found[name] = None if value == {} else value


def is_flat(row: Mapping[str, Any]) -> bool:
    """Whether nothing in it has to be made flat."""
    return not any(type(value) in (dict, list) for value in row.values())


def parents_only(rows: list[Row], names: Iterable[str]) -> set[str]:
    """Names that stand for nothing but a missing or empty object or list, whose parts have columns of their own."""
    names = list(names)
    parents = {name for name in names if any(one.startswith(name + ".") for one in names)}
    return {name for name in parents if all(row.get(name) in (None, []) for row in rows)}


class ListColumns:
    """What the list columns are: of one length, ragged, or texts joined by a delimiter."""

    def __init__(self, where: str, given: Mapping[str, int | str]) -> None:
        self.where, self._given = where, given
        self.forms: dict[str, str] = {}

    def learn(self, name: str, values: list[Any]) -> str | None:
        """Decides by the first values; None is what no list column holds."""
        asked = self._given.get(name, self._given.get("*"))
        if isinstance(asked, str):
            form: str | None = asked
        else:
            form = self._seen(values)
            if isinstance(asked, int) and form == FIXED:
                form = RAGGED
        if form is not None:
            self.forms[name] = form
        return form

    def _seen(self, values: list[Any]) -> str | None:
        lists = [value for value in values if value is not None]
        if any(type(value) is not list for value in lists):
            return None
        kinds = {type(one) for value in lists for one in value if one is not None}
        if kinds == {str}:
            return DELIMITER
        if list in kinds:
            shapes = {shape_of(value) for value in lists}
            return FIXED if len(shapes) == 1 and None not in shapes else None
        if kinds - {bool} and not all(issubclass(kind, int | float) for kind in kinds):
            return None
        return FIXED if len({len(value) for value in lists}) == 1 and lists[0] else RAGGED

    def companions(self, names: Iterable[str]) -> list[str]:
        """The columns, each ragged one followed by its length."""
        found = []
        for name in names:
            found += [name, name + LENGTH] if self.forms.get(name, FIXED) != FIXED else [name]
        return found

    def width(self, name: str) -> int | None:
        """The length that was asked for."""
        asked = self._given.get(name, self._given.get("*"))
        return asked if isinstance(asked, int) else None

    def kind(self, name: str, values: list[Any]) -> pa.DataType:
        """The array type that these values of a list of numbers ask for."""
        present = [value for value in values if type(value) is list]
        if self.forms[name] != FIXED:
            asked = self.width(name)
            longest = asked or max((len(value) for value in present), default=0) or 1
            if asked is None and longest > LONGEST:
                raise SchemaError(
                    f"{self.where}: column {name!r}: a list of {longest:,} elements, expected up to {LONGEST:,} where "
                    f"lengths differ. Say to which length they are padded: lists={{{name!r}: {longest}}}.",
                    options={"lists": {name: longest}},
                )
            return pa.list_(pa.float64(), longest)
        kind = pa.float64()
        for size in reversed(next((shape for value in present if (shape := shape_of(value))), (1,))):
            kind = pa.list_(kind, size)
        return kind

    def joined(self, name: str, values: list[Any]) -> list[str | None]:
        """Lists of texts, each as one."""
        mark = self.forms[name]
        found: list[str | None] = []
        for value in values:
            if type(value) is not list:
                found.append(None if value is None else str(value))
                continue
            words = ["" if one is None else str(one) for one in value]
            if any(mark in word for word in words):
                raise SchemaError(
                    f"{self.where}: column {name!r}: a text in its lists holds {mark!r}, by which they are joined. "
                    f"Pass another delimiter: lists={{{name!r}: ';;'}}.",
                    options={"lists": {name: ";;"}},
                )
            found.append(mark.join(words))
        return found

    def arrays(self, values: list[Any], kind: pa.DataType, *, equal: bool) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
        """Lists of numbers as rows of ``kind``, and which don't fit; shorter ones are padded unless ``equal``."""
        wrong = np.zeros(len(values), bool)
        if not pa.types.is_fixed_size_list(kind.value_type):
            try:
                made = pa.array(values, pa.list_(kind.value_type))
            except (pa.ArrowException, TypeError, ValueError, OverflowError):
                cells = [_list_or_none(value, kind.value_type) for value in values]
                wrong = np.array([a is not None and b is None for a, b in zip(values, cells, strict=True)])
                made = pa.array(cells, pa.list_(kind.value_type))
            sizes = lengths(made)
            unfit = (pc.not_equal if equal else pc.greater)(sizes, kind.list_size)
            wrong |= np.asarray(pc.fill_null(unfit, False), dtype=bool)
            return fixed_lists(made, kind.list_size), wrong
        parts = []
        for row, value in enumerate(values):
            try:
                parts.append(pa.array([value], kind))
            except (pa.ArrowException, TypeError, ValueError):
                wrong[row] = True
                parts.append(pa.nulls(1, kind))
        return (pa.concat_arrays(parts) if parts else pa.array([], kind)), wrong


def _list_or_none(value: Any, inner: pa.DataType) -> list[Any] | None:
    try:
        return None if value is None else list(pa.array([value], pa.list_(inner))[0].as_py())
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return None


def shape_of(value: Any) -> tuple[int, ...] | None:
    """The shape of a regular nested list of numbers."""
    try:
        array = np.asarray(value, float)
    except (ValueError, TypeError):
        return None
    return array.shape if 0 not in array.shape else None
