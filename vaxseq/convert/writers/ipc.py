"""An Arrow IPC file that can be continued: messages are appended, and the footer comes when all is known.

pyarrow's own writer fixes the dictionaries before the first record batch and can't go on with a file that a killed
process left. The format allows both: its footer says where every dictionary and record batch lies.
Source: https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from vaxseq.convert.writers.behind import WriteBehind
from vaxseq.dataset.checksums import ChunkChecksums, seal_of

MAGIC = b"ARROW1"
_ALIGN = 64
_SCHEMA, _DICTIONARY = 1, 2  # MessageHeader
_BLOCK = struct.Struct("<qi4xq")


class IpcFile:
    """The draft of one IPC file of one schema; ``blocks`` are (offset, metadata size, body size) of its batches."""

    def __init__(
        self, path: Path, schema: pa.Schema, blocks: list[tuple[int, int, int]] | None = None, length: int = 0,
        sums: ChunkChecksums | None = None,
    ) -> None:  # fmt: skip
        self.path = path
        self.schema = schema
        self.blocks = list(blocks or [])
        self._file: IO[bytes] = open(path, "r+b" if length else "wb", buffering=0)
        self.sums = sums if sums is not None and sums.length == length else ChunkChecksums.of(path, length)
        if length:
            self._file.truncate(length)  # what a killed run had begun to write after its last finished unit
            self._file.seek(length)
        else:
            self._write(MAGIC + b"\0\0")
            self._message(schema.serialize())
        self._parts = _Parts(schema)
        self._behind = WriteBehind(path)

    @property
    def length(self) -> int:
        """Bytes written so far."""
        return self._file.tell()

    def append(self, batch: pa.RecordBatch) -> None:
        """Writes one record batch, from where its buffers lie in memory."""
        start, metadata, body = self._aligned(*self._parts.of(batch))
        self.blocks.append((start, metadata, body))
        self._behind.grew(body)

    def finish(self, dictionaries: Mapping[str, pa.Array], metadata: Mapping[bytes, bytes]) -> int:
        """Writes dictionaries, the seal and the footer, and closes; returns the file's size."""
        self.sums = self.sums.copy()  # a draft may be continued from before what comes now
        schema = self.schema.with_metadata(dict(metadata))
        places = [self._message(message) for message in _dictionary_messages(self.schema, dictionaries)]
        footer = _footer(schema, places, self.blocks)
        self._write(struct.pack("<iI", -1, 0))
        tail = footer + struct.pack("<i", len(footer)) + MAGIC
        self._write(seal_of(self.sums, tail) + tail)
        size = self.length
        os.fsync(self._file.fileno())
        self.close()
        return size

    def sync(self) -> None:
        """Waits until the disk has what was written."""
        os.fdatasync(self._file.fileno())

    def close(self) -> None:
        """Closes the draft as it is."""
        self._behind.close()
        self._file.close()

    def _message(self, message: pa.Buffer) -> tuple[int, int, int]:
        view = memoryview(message)
        (size,) = struct.unpack_from("<i", view, 4)
        body = view[8 + size :]
        return self._aligned(bytearray(view[8 : 8 + size]), lambda offset, length: body[offset : offset + length])

    def _aligned(self, metadata: bytearray, buffer: Callable[[int, int], memoryview]) -> tuple[int, int, int]:
        """Writes a message so that its body, and every buffer in it, starts at a multiple of 64 bytes."""
        parts, body = _realign(metadata, buffer)
        start = self._file.tell()
        length = -(-(start + 8 + len(metadata)) // _ALIGN) * _ALIGN - start
        self._write(struct.pack("<ii", -1, length - 8) + metadata + bytes(length - 8 - len(metadata)))
        for part in parts:
            self._write(part)
            if rest := -len(part) % _ALIGN:
                self._write(bytes(rest))
        return start, length, body

    def _write(self, content: bytes | memoryview) -> None:
        view = memoryview(content)
        self.sums.add(view)
        while view:
            view = view[self._file.write(view) :]


class _Parts:
    """A stream that pyarrow writes record batches to; it keeps the buffers as they come, none copied."""

    closed = False

    def __init__(self, schema: pa.Schema) -> None:
        self._came: list[memoryview] = []
        # a batch has the codes of a dictionary column, so its message is that of a column of int32
        self._schema = pa.schema(
            [(one.name, one.type.index_type if pa.types.is_dictionary(one.type) else one.type) for one in schema]
        )
        self._writer = pa.ipc.new_stream(pa.PythonFile(self, "w"), self._schema)
        empty = [pa.array([], one.type) for one in self._schema]
        self._writer.write_batch(pa.record_batch(empty, schema=self._schema))  # the schema goes before the first batch

    def write(self, content: Any) -> int:
        """What pyarrow calls: a piece of metadata, a buffer or its padding."""
        self._came.append(memoryview(content).cast("B"))
        return len(self._came[-1])

    def flush(self) -> None:
        """What pyarrow calls; nothing is held back."""

    def of(self, batch: pa.RecordBatch) -> tuple[bytearray, Callable[[int, int], memoryview]]:
        """The batch's message: its metadata, and its buffers by their offset in the body."""
        columns = [one.indices if pa.types.is_dictionary(one.type) else one for one in batch.columns]
        self._came = []
        self._writer.write_batch(pa.record_batch(columns, schema=self._schema))
        head, size = bytearray(), 8
        came = iter(self._came)
        while len(head) < size:
            head += next(came)
            size = 8 + struct.unpack_from("<i", head, 4)[0] if len(head) >= 8 else 8
        found, at = {}, 0
        for part in came:
            found[at] = part
            at += len(part)
        return head[8:], lambda offset, length: found[offset][:length]


def _realign(metadata: bytearray, buffer: Callable[[int, int], memoryview]) -> tuple[list[memoryview], int]:
    """pyarrow aligns buffers to 8 bytes; this moves each to a multiple of 64 and says so in the metadata.

    Returns:
        The buffers in order, and the length of the body that they make.
    """
    message = _table(metadata, struct.unpack_from("<I", metadata, 0)[0])
    header = _pointed(metadata, message(2))
    (kind,) = struct.unpack_from("<B", metadata, message(1))
    if kind == _SCHEMA:
        return [], 0
    if kind == _DICTIONARY:
        header = _pointed(metadata, _table(metadata, header)(1))
    vector = _pointed(metadata, _table(metadata, header)(2))
    (count,) = struct.unpack_from("<I", metadata, vector)
    parts = []
    at = 0
    for index in range(count):
        place = vector + 4 + 16 * index
        offset, length = struct.unpack_from("<qq", metadata, place)
        struct.pack_into("<qq", metadata, place, at, length)
        if length:
            parts.append(buffer(offset, length))
            at += -(-length // _ALIGN) * _ALIGN
    if at:
        struct.pack_into("<q", metadata, message(3), at)
    return parts, at


def _table(buffer: bytearray, table: int) -> Callable[[int], int]:
    """Where a flatbuffer table keeps the field of a slot."""
    (back,) = struct.unpack_from("<i", buffer, table)

    def place(slot: int) -> int:
        (offset,) = struct.unpack_from("<H", buffer, table - back + 4 + 2 * slot)
        if not offset:
            raise AssertionError(f"pyarrow left out field {slot} of an IPC message")
        return int(table + offset)

    return place


def _pointed(buffer: bytearray, field: int) -> int:
    return int(field + struct.unpack_from("<I", buffer, field)[0])


def _dictionary_messages(schema: pa.Schema, dictionaries: Mapping[str, pa.Array]) -> list[pa.Buffer]:
    """The dictionary batches that pyarrow would write for these dictionaries, in schema order."""
    if not any(pa.types.is_dictionary(field.type) for field in schema):
        return []
    columns = [
        pa.DictionaryArray.from_arrays(pa.array([], pa.int32()), dictionaries[field.name])
        if pa.types.is_dictionary(field.type) else pa.array([], field.type)
        for field in schema
    ]  # fmt: skip
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.record_batch(columns, schema=schema))
    found = pa.ipc.MessageReader.open_stream(sink.getvalue())
    return [message.serialize() for message in found if message.type == "dictionary"]


def _footer(schema: pa.Schema, dictionaries: list[tuple[int, int, int]], batches: list[tuple[int, int, int]]) -> bytes:
    """The footer pyarrow writes for an empty file of this schema, with its two lists of blocks replaced.

    A flatbuffer's vector may lie anywhere after the field that points to it, so ours go to the end.
    """
    sink = pa.BufferOutputStream()
    pa.ipc.new_file(sink, schema).close()
    empty = sink.getvalue().to_pybytes()
    (size,) = struct.unpack_from("<i", empty, len(empty) - 10)
    footer = bytearray(empty[len(empty) - 10 - size : len(empty) - 10])
    place = _table(footer, struct.unpack_from("<I", footer, 0)[0])
    for slot, blocks in (
        (2, dictionaries),
        (3, batches),
    ):  # fields of Footer: version, schema, dictionaries, recordBatches
        field = place(slot)
        footer += bytes(-(len(footer) + 4) % 8)  # the blocks themselves are aligned to 8
        struct.pack_into("<I", footer, field, len(footer) - field)
        footer += struct.pack("<I", len(blocks)) + b"".join(_BLOCK.pack(*block) for block in blocks)
    return bytes(footer)
