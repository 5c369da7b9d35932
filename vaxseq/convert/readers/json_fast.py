"""JSON lines by pyarrow's parser, where it says the same as the slow and exact way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pajson

from vaxseq.convert.lists import fixed_lists, lengths
from vaxseq.convert.ranges import bounds_of
from vaxseq.convert.readers.json_rows import FIXED, ListColumns
from vaxseq.convert.readers.nesting import LENGTH, RAGGED
from vaxseq.convert.type_promotion import CATEGORY, EXACT_INTEGER, is_text

_SCALARS = (pa.null(), pa.bool_(), pa.int64(), pa.float64(), pa.string(), CATEGORY)
Paths = Mapping[str, tuple[str, ...] | None]
Texts = Mapping[str, Callable[[pa.Array], pa.Array | None]]  # how a column's texts are read; None: the slow way


def paths_of(row: Mapping[str, Any], before: tuple[str, ...] = ()) -> dict[str, tuple[str, ...] | None]:
    """Where each flat name lies in the row; None for a part of a list of objects."""
    found: dict[str, tuple[str, ...] | None] = {}
    for key, value in row.items():
        here = (*before, key)
        if type(value) is dict and value:
            found |= paths_of(value, here)
        elif type(value) is list and any(type(one) is dict for one in value):
            found |= {f"{'.'.join(here)}.{inner}": None for one in value if type(one) is dict for inner in one}
        else:
            found[".".join(here)] = here
    return found


def read_fast(
    raw: Any, columns: Sequence[str], types: Mapping[str, pa.DataType], paths: Paths, lists: ListColumns, texts: Texts,
    *, only: bool,
) -> pa.Table | None:  # fmt: skip
    """The columns, or None where the slow way must look; ``only``: what else the lines hold doesn't matter."""
    wanted = {
        name: pa.string() if name in texts else _plain(name, types[name], lists)
        for name in columns if not _is_length(name, lists)
    }  # fmt: skip
    wanted |= {name.removesuffix(LENGTH): pa.list_(pa.null()) for name in columns if _is_length(name, lists)} | wanted
    if any(kind is None or paths.get(name) is None for name, kind in wanted.items()):
        return None
    try:
        table = pajson.read_json(
            pa.BufferReader(pa.py_buffer(raw)),
            pajson.ReadOptions(use_threads=False, block_size=max(len(raw), 1 << 20)),
            pajson.ParseOptions(
                explicit_schema=_schema({paths[name]: kind for name, kind in wanted.items()}),
                unexpected_field_behavior="ignore" if only else "error", newlines_in_values=False,
            ),
        )  # fmt: skip
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    if int(np.count_nonzero(raw == 10)) not in (table.num_rows, table.num_rows - 1):
        return None
    cells = {name: _at(table, paths[name] or ()) for name in wanted}
    found = {}
    for name in columns:
        own = name.removesuffix(LENGTH) if _is_length(name, lists) else name
        if own != name:
            made = lengths(cells[own])
        elif name in texts:
            made = texts[name](cells[name])
        else:
            made = _checked(name, cells[name], types[name], lists)
        if made is None:
            return None
        found[name] = made
    return pa.table(found)


def _is_length(name: str, lists: ListColumns) -> bool:
    return name.endswith(LENGTH) and lists.forms.get(name.removesuffix(LENGTH), FIXED) != FIXED


def _plain(name: str, kind: pa.DataType, lists: ListColumns) -> pa.DataType | None:
    form = lists.forms.get(name)
    if form in (FIXED, RAGGED):
        flat = pa.types.is_fixed_size_list(kind) and kind.value_type == pa.float64()
        return pa.list_(pa.float64()) if flat else None
    if form is not None:
        return pa.list_(pa.string()) if is_text(kind) else None
    if kind not in _SCALARS:
        return None
    return pa.string() if is_text(kind) else kind


def _schema(kinds: Mapping[Any, pa.DataType]) -> pa.Schema:
    tree: dict[str, Any] = {}
    for path, kind in kinds.items():
        place = tree
        for key in path[:-1]:
            place = place.setdefault(key, {})
        place[path[-1]] = kind
    return pa.schema(_fields(tree))


def _fields(tree: Mapping[str, Any]) -> list[pa.Field]:
    return [pa.field(key, pa.struct(_fields(one)) if isinstance(one, dict) else one) for key, one in tree.items()]


def _at(table: pa.Table, path: tuple[str, ...]) -> pa.Array:
    found = table[path[0]].combine_chunks()
    for key in path[1:]:
        found = pc.struct_field(found, key)
    return found


def _checked(name: str, cells: pa.Array, kind: pa.DataType, lists: ListColumns) -> pa.Array | None:
    form = lists.forms.get(name)
    if form is None:
        if cells.type == pa.float64():
            bounds = bounds_of(cells)
            if bounds is not None and max(map(abs, bounds)) >= EXACT_INTEGER:
                return None
        return cells
    if form not in (FIXED, RAGGED):
        if pc.any(pc.match_substring(cells.values, form)).as_py():
            return None
        words = pa.ListArray.from_arrays(cells.offsets, pc.fill_null(cells.values, ""), mask=cells.is_null())
        return pc.binary_join(words, form)
    bounds = pc.min_max(lengths(cells)).as_py()
    width = kind.list_size
    if form == FIXED or lists.width(name) is not None:
        unfit = (bounds["max"] or 0) > width or (form == FIXED and (bounds["min"] or width) != width)
        return None if unfit or (form == FIXED and bounds["min"] == 0) else fixed_lists(cells, width)
    return fixed_lists(cells, max(width, bounds["max"] or 0))
