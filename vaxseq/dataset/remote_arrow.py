"""An Arrow file in an object store: its schema, dictionaries and the places of its batches, read without its rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa

from vaxseq.dataset.byte_places import ByteRange
from vaxseq.dataset.ipc_layout import FileLayout, Node, footer_of, layout_of
from vaxseq.dataset.remote_file import RemoteFile, arrow_footer
from vaxseq.errors import DatasetError


class Batch(NamedTuple):
    """A record batch: its number, its first row, its rows, and where each column of it lies."""

    number: int
    first: int
    rows: int
    nodes: dict[str, Node]


class Structure(NamedTuple):
    """What a file says of itself."""

    schema: pa.Schema
    layout: FileLayout
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
        return _structure_of(file, arrow_footer(file) if sealed else footer_of(file.about.size, file.read)[0])
    except DatasetError as error:
        where = str(file)
        raise error if str(error).startswith(where) else DatasetError(f"{where}: {error}") from error


def _structure_of(file: RemoteFile, footer: bytes) -> Structure:
    schema = _read_schema(file)
    layout = layout_of(footer, schema, file.read, file.begin)
    batches, first = [], 0
    for number, (rows, nodes) in enumerate(layout.batches):
        batches.append(Batch(number, first, rows, nodes))
        first += rows
    return Structure(schema, layout, batches)


def _read_schema(file: RemoteFile) -> pa.Schema:
    size = int.from_bytes(file.read(12, 16), "little")
    try:
        return pa.ipc.read_schema(pa.py_buffer(file.read(8, 16 + size)))
    except pa.ArrowException as error:
        raise DatasetError(f"its schema is damaged ({error}). Get the file again.") from error


def ranges_in(structure: Structure) -> Iterator[ByteRange]:
    """Which column and rows the bytes of the file belong to."""
    for name, node in structure.layout.dictionaries.items():
        yield from _ranges(name, node, 0, structure.rows, inside=True)
    for batch in structure.batches:
        for name, node in batch.nodes.items():
            yield from _ranges(name, node, batch.first, batch.first + batch.rows, inside=False)


def _ranges(name: str, node: Node, first: int, last: int, *, inside: bool) -> Iterator[ByteRange]:
    for place, (start, size) in enumerate(node.buffers):
        bits = 0 if inside else node.bits_of(place)
        yield ByteRange(name, start, start + size, first, last, bits)
    for child in node.children:
        yield from _ranges(name, child, first, last, inside=True)
