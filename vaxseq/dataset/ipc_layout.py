"""Where the rows of an Arrow file's columns lie, read from its footer and the heads of its batches alone.

Source: https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format, and FlatBuffers' internals.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from vaxseq.errors import DatasetError

Get = Callable[[int, int], bytes]  # from, to: bytes of the file

_CONTINUES = b"\xff\xff\xff\xff"
_BLOCK, _PAIR = struct.Struct("<qi4xq"), struct.Struct("<qq")


class Block(NamedTuple):
    """A message: where it starts, the size of its head, the size of its body."""

    start: int
    head_bytes: int
    body_bytes: int


class FileLayout(NamedTuple):
    """The rows of each record batch and where its columns lie; the words of categories, and where those lie."""

    batches: list[tuple[int, dict[str, Node]]]
    words: dict[str, pa.Array]
    dictionaries: dict[str, Node]

    def read(self, name: str, number: int, start: int, stop: int, get: Get) -> pa.Array:
        """Rows of a batch's column."""
        found = self.batches[number][1][name].read(start, stop, get)
        words = self.words.get(name)
        return found if words is None else pa.DictionaryArray.from_arrays(found, words, safe=False)


def footer_of(size: int, get: Get) -> tuple[bytes, int]:
    """The footer of a file of so many bytes, and where it begins.

    Raises:
        DatasetError: it isn't an Arrow file.
    """
    if size < 16 or get(size - 6, size) != b"ARROW1":
        raise DatasetError("not an Arrow file, or not all of one. Put it there anew.")
    (length,) = struct.unpack("<i", get(size - 10, size - 6))
    if not 0 < length < size - 10:
        raise DatasetError("its footer is damaged. Put it there anew.")
    return get(size - 10 - length, size - 10), size - 10 - length


def layout_of(
    footer: bytes, schema: pa.Schema, get: Get, begin: Callable[[Iterator[tuple[int, int]]], None] | None = None
) -> FileLayout:
    """Where the columns of a file lie. ``begin`` is told what will be read, so that it may all come at once.

    Raises:
        DatasetError: it can't be read by ranges, or is damaged.
    """
    try:
        big_endian = _Table.root(footer).table(1).byte(0) == 1
        dictionaries, blocks = footer_blocks(footer)
    except (struct.error, IndexError) as error:
        raise DatasetError("its footer is damaged. Put it there anew.") from error
    if big_endian:
        raise DatasetError("it is of a big-endian machine, so it can't be read in place. Convert it.")
    coded = [one for one in schema if pa.types.is_dictionary(one.type)]
    kinds = [one.type.index_type if pa.types.is_dictionary(one.type) else one.type for one in schema]
    if begin is not None:
        begin((one.start, one.start + one.head_bytes) for one in [*dictionaries, *blocks])
    heads = {one: get(one.start, one.start + one.head_bytes) for one in [*dictionaries, *blocks]}
    by_id = {dictionary_id(heads[one]): one for one in dictionaries}
    if sorted(by_id) != list(range(len(coded))) or len(dictionaries) != len(coded):
        raise DatasetError("its dictionaries aren't one for each column of categories. Copy it to a local disk.")
    words, places = {}, {}
    for number, column in enumerate(coded):
        [node] = nodes_of(heads[by_id[number]], by_id[number], [column.type.value_type])
        places[column.name], words[column.name] = node, node.read(0, node.rows, get)
    found = []
    for block in blocks:
        nodes = nodes_of(heads[block], block, kinds)
        rows = nodes[0].rows if nodes else 0
        if any(node.rows != rows for node in nodes):
            raise DatasetError("a batch has columns of different lengths. The file is damaged; get it again.")
        found.append((rows, dict(zip(schema.names, nodes, strict=True))))
    return FileLayout(found, words, places)


def footer_blocks(footer: bytes) -> tuple[list[Block], list[Block]]:
    """The places of a file's dictionaries and record batches."""
    table = _Table.root(footer)
    return [Block(*one) for one in table.structs(2, _BLOCK)], [Block(*one) for one in table.structs(3, _BLOCK)]


@dataclass(frozen=True, slots=True)
class Node:
    """An array in a batch: its type, rows and nulls, where its buffers lie, and the arrays inside it."""

    kind: pa.DataType
    rows: int
    nulls: int
    buffers: tuple[tuple[int, int], ...]
    children: tuple[Node, ...]

    def ranges(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """The bytes that rows start to stop take, as far as the rows' number tells."""
        low = start & ~7
        if self.nulls:
            yield self._bits(0, low, stop)
        if _is_text(self.kind) or _is_list(self.kind):
            width = 8 if _is_large(self.kind) else 4
            yield self._part(1, low * width, (stop + 1) * width)
        elif pa.types.is_fixed_size_list(self.kind):
            yield from self.children[0].ranges(low * self.kind.list_size, stop * self.kind.list_size)
        elif pa.types.is_struct(self.kind):
            for child in self.children:
                yield from child.ranges(low, stop)
        elif pa.types.is_boolean(self.kind):
            yield self._bits(1, low, stop)
        elif not pa.types.is_null(self.kind):
            width = self.kind.bit_width // 8
            yield self._part(1, low * width, stop * width)

    def read(self, start: int, stop: int, get: Get) -> pa.Array:
        """Rows start to stop, of the bytes that they take."""
        low = start & ~7  # bitmaps begin at whole bytes
        rows = stop - low
        if pa.types.is_null(self.kind):
            return pa.nulls(stop - start)
        if stop == start:
            return pa.array([], self.kind)
        valid = pa.py_buffer(get(*self._bits(0, low, stop))) if self.nulls else None
        children = None
        if _is_text(self.kind) or _is_list(self.kind):
            width = 8 if _is_large(self.kind) else 4
            ends = np.frombuffer(get(*self._part(1, low * width, (stop + 1) * width)), f"<i{width}")
            first, last = int(ends[0]), int(ends[-1])
            if not 0 <= first <= last:
                raise DatasetError("offsets of a column of text or lists go back. The file is damaged; get it again.")
            buffers = [valid, pa.py_buffer((ends - ends[0]).tobytes())]
            if _is_list(self.kind):
                children = [self.children[0].read(first, last, get)]
            else:
                buffers.append(pa.py_buffer(get(*self._part(2, first, last))))
        elif pa.types.is_fixed_size_list(self.kind):
            width = self.kind.list_size
            buffers, children = [valid], [self.children[0].read(low * width, stop * width, get)]
        elif pa.types.is_struct(self.kind):
            buffers, children = [valid], [child.read(low, stop, get) for child in self.children]
        elif pa.types.is_boolean(self.kind):
            buffers = [valid, pa.py_buffer(get(*self._bits(1, low, stop)))]
        else:
            width = self.kind.bit_width // 8
            buffers = [valid, pa.py_buffer(get(*self._part(1, low * width, stop * width)))]
        return pa.Array.from_buffers(self.kind, rows, buffers, children=children).slice(start - low)

    def bits_of(self, place: int) -> int:
        """The bits that a row takes in a buffer; 0 where rows take different room."""
        if place == 0 or pa.types.is_boolean(self.kind):
            return 1
        if _is_text(self.kind) or _is_list(self.kind):
            return 0 if place == 2 else (64 if _is_large(self.kind) else 32)
        return int(self.kind.bit_width)

    def _bits(self, number: int, low: int, stop: int) -> tuple[int, int]:
        return self._part(number, low // 8, -(-stop // 8))

    def _part(self, number: int, low: int, high: int) -> tuple[int, int]:
        start, size = self.buffers[number]
        if high > size:
            raise DatasetError(f"a batch's buffer of {size:,} bytes is to hold {high:,}. The file is damaged.")
        return start + low, start + high


def nodes_of(head: bytes, block: Block, kinds: list[pa.DataType]) -> list[Node]:
    """The arrays of a record batch, or of a dictionary, of these types: ``head`` is its message without the body.

    Raises:
        DatasetError: compressed, of a type that can't be read by ranges, or damaged.
    """
    try:
        if head[:4] != _CONTINUES:
            raise DatasetError("its messages are of the form before 2019, so it can't be read in place. Convert it.")
        message = _Table.root(head[8:])
        batch = message.table(2)
        if message.byte(1) == 2:  # a dictionary has its batch inside
            if batch.byte(2):
                raise DatasetError("its dictionaries come in parts, which can't be read in place. Convert it.")
            batch = batch.table(1)
        if batch.has(3):
            raise DatasetError("its batches are compressed, so they can't be read in place. Convert it.")
        body = block.start + block.head_bytes
        nodes = iter(batch.structs(1, _PAIR))
        buffers = iter([(body + start, size) for start, size in batch.structs(2, _PAIR)])
        found = [_node(kind, nodes, buffers) for kind in kinds]
    except (struct.error, IndexError, StopIteration) as error:
        raise DatasetError("the head of a batch is damaged. Get the file again.") from error
    end = body + block.body_bytes
    stack = list(found)
    while stack:
        one = stack.pop()
        if any(start < body or size < 0 or start + size > end for start, size in one.buffers):
            raise DatasetError("a batch's buffers lie outside of it. The file is damaged; get it again.")
        stack += one.children
    return found


def dictionary_id(head: bytes) -> int:
    """Which dictionary a message holds; they are counted in the schema's order."""
    try:
        return _Table.root(head[8:]).table(2).whole(0)
    except (struct.error, IndexError) as error:
        raise DatasetError("the head of a dictionary is damaged. Get the file again.") from error


def _node(kind: pa.DataType, nodes: Iterator[tuple[int, ...]], buffers: Iterator[tuple[int, int]]) -> Node:
    rows, nulls = next(nodes)
    if pa.types.is_null(kind):
        return Node(kind, rows, 0, (), ())
    if _is_text(kind):
        count, inside = 3, []
    elif _is_list(kind):
        count, inside = 2, [kind.value_type]
    elif pa.types.is_fixed_size_list(kind):
        count, inside = 1, [kind.value_type]
    elif pa.types.is_struct(kind):
        count, inside = 1, [kind.field(number).type for number in range(kind.num_fields)]
    elif pa.types.is_primitive(kind) or pa.types.is_decimal(kind) or pa.types.is_fixed_size_binary(kind):
        count, inside = 2, []
    else:
        raise DatasetError(f"a column of {kind} can't be read in place. Copy the dataset to a local disk.")
    own = tuple([next(buffers) for _ in range(count)])  # a generator would turn the end into another error
    return Node(kind, rows, nulls, own, tuple([_node(one, nodes, buffers) for one in inside]))


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    )  # fmt: skip


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _is_large(kind: pa.DataType) -> bool:
    return bool(pa.types.is_large_string(kind) or pa.types.is_large_binary(kind) or pa.types.is_large_list(kind))


class _Table:
    """A table of a flatbuffer, its fields by number."""

    def __init__(self, content: bytes, place: int) -> None:
        self._content, self._place = content, place
        self._fields = place - _number("<i", content, place)
        self._count = (_number("<H", content, self._fields) - 4) // 2

    @classmethod
    def root(cls, content: bytes) -> _Table:
        return cls(content, _number("<I", content, 0))

    def has(self, slot: int) -> bool:
        return bool(self._at(slot))

    def byte(self, slot: int) -> int:
        return self._content[self._at(slot)] if self.has(slot) else 0

    def whole(self, slot: int) -> int:
        return _number("<q", self._content, self._at(slot)) if self.has(slot) else 0

    def table(self, slot: int) -> _Table:
        place = self._at(slot)
        if not place:
            raise IndexError("a table that isn't there")
        return _Table(self._content, place + _number("<I", self._content, place))

    def structs(self, slot: int, form: struct.Struct) -> list[tuple[int, ...]]:
        place = self._at(slot)
        if not place:
            return []
        start = place + _number("<I", self._content, place)
        count = _number("<I", self._content, start)
        return list(form.iter_unpack(self._content[start + 4 : start + 4 + count * form.size]))

    def _at(self, slot: int) -> int:
        if slot >= self._count:
            return 0
        offset = _number("<H", self._content, self._fields + 4 + 2 * slot)
        return self._place + offset if offset else 0


def _number(form: str, content: bytes, place: int) -> int:
    if place < 0:
        raise IndexError("before the beginning")
    return int(struct.unpack_from(form, content, place)[0])
