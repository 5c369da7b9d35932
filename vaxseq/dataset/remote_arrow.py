"""An Arrow file in an object store: its schema, dictionaries and the places of its batches, read without its rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa

from vaxseq.dataset.byte_places import Stretch
from vaxseq.dataset.ipc_layout import Node, dictionary_id, footer_blocks, nodes_of
from vaxseq.dataset.remote_file import RemoteFile, arrow_footer, footer_of
from vaxseq.errors import DatasetError


class Batch(NamedTuple):
    """A record batch: its first row, its rows, and where each column of it lies."""

    first: int
    rows: int
    nodes: dict[str, Node]


class Structure(NamedTuple):
    """What a file says of itself."""

    schema: pa.Schema
    words: dict[str, pa.Array]  # of columns of categories
    dictionaries: dict[str, Node]  # where they lie
    batches: list[Batch]

    @property
    def rows(self) -> int:
        """Rows of all batches."""
        return sum(one.rows for one in self.batches)


def structure_of(file: RemoteFile, *, sealed: bool = True) -> Structure:
    """The structure; if ``sealed``, what is read of the file from then on is held to its seal.

    Raises:
        DatasetError: damaged, or of a form that can't be read by ranges.
        SourceError: the store doesn't give it.
    """
    try:
        return _structure_of(file, arrow_footer(file) if sealed else footer_of(file)[0])
    except DatasetError as error:
        where = str(file)
        raise error if str(error).startswith(where) else DatasetError(f"{where}: {error}") from error


def _structure_of(file: RemoteFile, footer: bytes) -> Structure:
    schema = _read_schema(file)
    coded = [one for one in schema if pa.types.is_dictionary(one.type)]
    kinds = [one.type.index_type if pa.types.is_dictionary(one.type) else one.type for one in schema]
    dictionaries, blocks = footer_blocks(footer)
    file.begin((one.start, one.start + one.head_bytes) for one in [*dictionaries, *blocks])
    heads = {one: file.read(one.start, one.start + one.head_bytes) for one in [*dictionaries, *blocks]}
    by_id = {dictionary_id(heads[one]): one for one in dictionaries}
    if sorted(by_id) != list(range(len(coded))) or len(dictionaries) != len(coded):
        raise DatasetError("its dictionaries aren't one for each column of categories. Copy it to a local disk.")
    words, places = {}, {}
    for number, one in enumerate(coded):
        block = by_id[number]
        [node] = nodes_of(heads[block], block, [one.type.value_type])
        places[one.name], words[one.name] = node, node.read(0, node.rows, file.read)
    batches, first = [], 0
    for block in blocks:
        nodes = nodes_of(heads[block], block, kinds)
        rows = nodes[0].rows
        if any(node.rows != rows for node in nodes):
            raise DatasetError("a batch has columns of different lengths. The file is damaged; get it again.")
        batches.append(Batch(first, rows, dict(zip(schema.names, nodes, strict=True))))
        first += rows
    return Structure(schema, words, places, batches)


def _read_schema(file: RemoteFile) -> pa.Schema:
    size = int.from_bytes(file.read(12, 16), "little")
    try:
        return pa.ipc.read_schema(pa.py_buffer(file.read(8, 16 + size)))
    except pa.ArrowException as error:
        raise DatasetError(f"its schema is damaged ({error}). Get the file again.") from error


def stretches_in(structure: Structure) -> Iterator[Stretch]:
    """Which column and rows the bytes of the file belong to."""
    for name, node in structure.dictionaries.items():
        yield from _stretches(name, node, 0, structure.rows, inside=True)
    for batch in structure.batches:
        for name, node in batch.nodes.items():
            yield from _stretches(name, node, batch.first, batch.first + batch.rows, inside=False)


def _stretches(name: str, node: Node, first: int, last: int, *, inside: bool) -> Iterator[Stretch]:
    for place, (start, size) in enumerate(node.buffers):
        bits = 0 if inside else node.bits_of(place)
        yield Stretch(name, start, start + size, first, last, bits)
    for child in node.children:
        yield from _stretches(name, child, first, last, inside=True)
