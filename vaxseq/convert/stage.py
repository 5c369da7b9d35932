"""The drafts of a dataset: finished pieces appended to Arrow files, each of one set of types, all journaled."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from vaxseq.convert.dictionary import Coder
from vaxseq.convert.journal import Journal, boot
from vaxseq.convert.ranges import Range, ranges_in
from vaxseq.convert.rejects import log_rejects, logged_rejects
from vaxseq.convert.type_promotion import CATEGORY, cast_exactly, common_type, is_text
from vaxseq.convert.unit_reader import FinishedPiece
from vaxseq.convert.writers.ipc import IpcFile
from vaxseq.dataset.checksums import ChunkChecksums
from vaxseq.dataset.schema import type_name, type_of

MIN_BATCH_ROWS, MAX_BATCH_ROWS = 1 << 16, 1 << 20
_MAX_HELD_BYTES = 64 << 20
_SYNC_S = 10.0

_NO_WORDS = pa.nulls(0, pa.string())  # a record batch holds codes only; pa.array would import pandas

PieceKey = tuple[int, int]  # (unit number, piece number)


@dataclass(slots=True)
class Draft:
    """One staged file: its types, its record batches, and the pieces that each group of batches came from."""

    name: str
    types: dict[str, pa.DataType]
    blocks: list[tuple[int, int, int]] = field(default_factory=list)
    length: int = 0
    rows: int = 0
    groups: list[tuple[list[PieceKey], int, int]] = field(default_factory=list)  # (pieces, rows, batches)
    ranges: list[dict[str, Range]] = field(default_factory=list)  # of each group
    sums: ChunkChecksums | None = field(
        default=None, compare=False
    )  # of its bytes, where this process has written them

    def schema(self) -> pa.Schema:
        """Its Arrow schema."""
        return pa.schema(list(self.types.items()))


Block = tuple[int, int, int]  # of an IPC file: (offset, metadata size, body size)


@dataclass(slots=True)
class _Writing:
    """A group of pieces that the writing thread is at, and its line of the journal, which says where it will stand."""

    draft: Draft
    pieces: list[PieceKey]
    rows: int
    line: dict[str, Any]
    written: Future[tuple[list[Block], int, dict[str, Range]]]


class Stage:
    """Appends pieces in order. After a kill, ``Stage`` on the same folder stands behind the last journaled group.

    A thread writes a group while the next one is read; the group is journaled when it is written.
    """

    def __init__(self, folder: Path, key: str, types: dict[str, pa.DataType], fixed: frozenset[str],
    draft_bytes: int | None,
                 words: dict[str, list[str]] | None = None) -> None:  # fmt: skip
        self.folder, self.fixed, self._draft_bytes = folder, fixed, draft_bytes
        self.types = dict(types)
        self.coders: dict[str, Coder] = {}
        self.drafts: list[Draft] = []
        self.next: PieceKey = (0, 0)
        self.rejected = self.dropped = 0
        self._rejects_length = 0
        self._held: list[tuple[PieceKey, FinishedPiece]] = []
        self._held_rows = self._held_bytes = 0
        self._file: IpcFile | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="vaxseq-stage")
        self._writing: _Writing | None = None
        self._journaled_values: dict[str, int] = {}
        self._given_up: dict[str, Coder] = {}  # of columns with too many values: earlier drafts still hold codes
        self._journal = Journal(folder)
        self._synced = time.monotonic()
        lines = self._journal.read()
        if lines:
            self._restore(lines)
        else:
            self._journal.add({"key": key, "boot": boot()})
            self.coders = {name: Coder(values) for name, values in (words or {}).items() if name in types}
        self._coders()

    @staticmethod
    def header(folder: Path) -> dict[str, Any] | None:
        """The first line of a journal that a run left, or None."""
        lines = Journal(folder).read()
        return lines[0] if lines else None

    @staticmethod
    def holds_rows(folder: Path) -> bool:
        """Whether a run came as far as writing rows."""
        return any("pieces" in line for line in Journal(folder).read())

    @staticmethod
    def holds_rejects(folder: Path) -> bool:
        """Whether a run set rows aside."""
        return any(line.get("rejected") for line in Journal(folder).read())

    @staticmethod
    def ready_note(folder: Path) -> dict[str, Any] | None:
        """What `ready` wrote, when an earlier run came that far."""
        lines = Journal(folder).read()
        return lines[-1]["ready"] if lines and "ready" in lines[-1] else None

    def ready(self, note: dict[str, Any]) -> None:
        """Says that the dataset is whole and only has to be moved to its place."""
        self._journal.add({"ready": note})
        self._journal.sync()

    @property
    def rows(self) -> int:
        """Rows journaled so far."""
        return sum(draft.rows for draft in self.drafts)

    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(self.types)

    def add(self, key: PieceKey, finished: FinishedPiece, after: PieceKey) -> None:
        """Takes the next piece; it is written when enough rows are there for a record batch."""
        self._held.append((key, finished))
        self._held_rows += finished.table.num_rows
        self._held_bytes += finished.table.nbytes
        self.next = after
        if self._held_rows >= MIN_BATCH_ROWS or self._held_bytes >= _MAX_HELD_BYTES or len(self._held) >= 4096:
            self.flush()

    def widen(self, table: pa.Table) -> None:
        """Raises the dataset's types to hold this piece's."""
        for name in table.column_names:
            seen, known = table[name].type, self.types[name]
            if seen.equals(known) or name in self.fixed or (is_text(seen) and is_text(known)):
                continue
            wider = common_type(known, seen, grow=True)
            if wider is None or is_text(wider):
                wider = CATEGORY
            if not wider.equals(known):
                self.types[name] = wider
        self._coders()

    def _coders(self) -> None:
        for name, kind in self.types.items():
            if pa.types.is_dictionary(kind) and name not in self.coders:
                self.coders[name] = Coder()

    def flush(self) -> None:
        """Gives what is held to the thread that writes it as record batches; it is journaled after that."""
        self._settle()
        if not self._held:
            return
        table = self._joined()
        draft, file = self._draft_for(table.schema)
        rejects = [reject for _, one in self._held for reject in one.rejects]
        self._rejects_length += log_rejects(self.folder, self._rejects_length, rejects)
        self.rejected += len(rejects)
        self.dropped += sum(one.dropped for _, one in self._held)
        keys = [key for key, _ in self._held]
        line = {
            "draft": len(self.drafts) - 1, "pieces": keys, "rows": table.num_rows, "values": self._new_values(),
            "next": self.next, "rejected": len(rejects), "rejects_length": self._rejects_length,
            "dropped": self.dropped, "types": {name: type_name(kind) for name, kind in self.types.items()},
        }  # fmt: skip
        written = self._thread.submit(_write, file, table)
        self._writing = _Writing(draft, keys, table.num_rows, line, written)
        self._held = []
        self._held_rows = self._held_bytes = 0
        if time.monotonic() - self._synced > _SYNC_S:
            self.sync()

    def _settle(self) -> None:
        """Waits until the last group is written, and journals it. Raises what the writing met, such as a full disk."""
        if (group := self._writing) is None:
            return
        self._writing = None
        blocks, length, ranges = group.written.result()
        draft = group.draft
        draft.groups.append((group.pieces, group.rows, len(blocks)))
        draft.ranges.append(ranges)
        draft.blocks += blocks
        draft.length, draft.rows = length, draft.rows + group.rows
        self._journal.add({**group.line, "blocks": blocks, "length": length, "ranges": ranges})

    def sync(self) -> None:
        """Makes the rows that were flushed survive a power cut."""
        self._settle()
        if self._file is not None and self.drafts:
            self._file.sync()
            self._journal.add({"synced": self.next})
            self._journal.sync()
        self._synced = time.monotonic()

    def _joined(self) -> pa.Table:
        """What is held, in the dataset's types, with text as codes of the common dictionaries."""
        columns = {}
        for name in self.types:
            parts = [one.table[name] for _, one in self._held]
            kind = self.types[name]
            if pa.types.is_dictionary(kind):
                codes = self.coders[name].encode(chunk for part in parts for chunk in _as_text(part))
                if codes is None:
                    self.give_up(name)
                    kind = pa.string()
                else:
                    columns[name] = pa.chunked_array([pa.DictionaryArray.from_arrays(codes, _NO_WORDS, safe=False)])
                    continue
            chunks = []
            for part in parts:
                if is_text(kind) and not is_text(part.type) and not pa.types.is_null(part.type):
                    raise AssertionError("a piece must be read again as text before it is staged")
                chunks += cast_exactly(part, kind, f"column {name!r}").chunks
            columns[name] = pa.chunked_array(chunks, kind)
        return pa.table(columns)

    def give_up(self, name: str) -> None:
        """Makes a column of too many values plain text; earlier drafts keep their codes."""
        self.types[name] = pa.string()
        self._given_up[name] = self.coders.pop(name)

    def stale(self, finished: FinishedPiece) -> bool:
        """Whether the piece must be parsed again, because the dataset's types have become text since."""
        return any(self.is_stale(finished, name) for name in finished.table.column_names)

    def is_stale(self, finished: FinishedPiece, name: str) -> bool:
        """Whether this column must be."""
        kind = finished.table[name].type
        return is_text(self.types[name]) and not is_text(kind) and not pa.types.is_null(kind)

    def stale_held(self) -> list[tuple[PieceKey, FinishedPiece]]:
        """Held pieces that must be parsed again."""
        return [(key, one) for key, one in self._held if self.stale(one)]

    def replace_held(self, key: PieceKey, finished: FinishedPiece) -> None:
        """Puts a piece, parsed again, in its place."""
        self._held = [(held, finished if held == key else one) for held, one in self._held]

    def _draft_for(self, schema: pa.Schema) -> tuple[Draft, IpcFile]:
        """The last draft when it has these types and room; a new one otherwise."""
        draft = self.drafts[-1] if self.drafts else None
        full = draft is not None and self._draft_bytes is not None and draft.length >= self._draft_bytes
        if draft is None or full or not draft.schema().equals(schema):
            if self._file is not None:
                self._file.sync()
                self._file.close()
            draft = Draft(f"draft-{len(self.drafts):05d}.arrow", dict(zip(schema.names, schema.types, strict=True)))
            self.drafts.append(draft)
            self._file = IpcFile(self.folder / draft.name, draft.schema())
            draft.sums = self._file.sums
            self._journal.add(
                {"new": draft.name, "types": {name: type_name(kind) for name, kind in draft.types.items()}}
            )
        elif self._file is None:
            self._file = IpcFile(self.folder / draft.name, draft.schema(), draft.blocks, draft.length, draft.sums)
            draft.sums = self._file.sums
        return draft, self._file

    def _new_values(self) -> dict[str, list[str]]:
        found = {}
        for name, coder in self.coders.items():
            known = self._journaled_values.get(name, 0)
            if len(coder.values) > known:
                found[name] = coder.values[known:]
                self._journaled_values[name] = len(coder.values)
        return found

    def rejects(self) -> Iterator[dict[str, Any]]:
        """The rejected rows, in order."""
        return logged_rejects(self.folder, self._rejects_length)

    def _restore(self, lines: list[dict[str, Any]]) -> None:
        if lines[0].get("boot") != boot():  # only what was synced is sure to be whole
            last = max((number for number, line in enumerate(lines) if "synced" in line), default=0)
            lines = lines[: last + 1]
        for line in lines[1:]:
            if "new" in line:
                self.drafts.append(Draft(line["new"], {name: type_of(kind) for name, kind in line["types"].items()}))
            elif "pieces" in line:
                draft = self.drafts[line["draft"]]
                draft.blocks += [tuple(block) for block in line["blocks"]]
                draft.groups.append(([tuple(key) for key in line["pieces"]], line["rows"], len(line["blocks"])))
                draft.ranges.append({name: (low, high) for name, (low, high) in line["ranges"].items()})
                draft.length, draft.rows = line["length"], draft.rows + line["rows"]
                for name, values in line["values"].items():
                    known = self.coders.setdefault(name, Coder())
                    self.coders[name] = Coder(known.values + values)
                    self._journaled_values[name] = len(self.coders[name].values)
                self.next = tuple(line["next"])
                self.rejected += line["rejected"]
                self._rejects_length, self.dropped = line["rejects_length"], line["dropped"]
                self.types = {name: type_of(kind) for name, kind in line["types"].items()}
        for name in [name for name in self.coders if not pa.types.is_dictionary(self.types[name])]:
            self._given_up[name] = self.coders.pop(name)

    def close(self) -> None:
        """Leaves the drafts as they are, every group that was written journaled."""
        if self._writing is not None and self._writing.written.exception() is None:  # else another one is on its way
            self._settle()
        self._thread.shutdown()
        if self._file is not None:
            self._file.close()
            self._file = None
        self._journal.close()

    def all_words(self, name: str) -> pa.Array:
        """Every value that codes of this column may stand for."""
        return self._given_up[name].array() if name in self._given_up else self.coders[name].array()

    def first_batch(self, draft: Draft) -> pa.RecordBatch:
        """The first rows of a draft that has no dictionary columns among those that are asked of it."""
        with pa.memory_map(str(self.folder / draft.name)) as file:
            file.seek(draft.blocks[0][0])
            message = pa.ipc.read_message(file)
        codes = [(name, pa.int32() if pa.types.is_dictionary(kind) else kind) for name, kind in draft.types.items()]
        return pa.ipc.read_record_batch(message, pa.schema(codes))

    def size_bytes(self) -> int:
        """Bytes of all drafts."""
        return sum(os.path.getsize(self.folder / draft.name) for draft in self.drafts)


def _write(file: IpcFile, table: pa.Table) -> tuple[list[Block], int, dict[str, Range]]:
    """Appends the rows; gives their record batches, the file's length behind them, and their ranges."""
    before = len(file.blocks)
    for start in range(0, table.num_rows, MAX_BATCH_ROWS):
        for batch in table.slice(start, MAX_BATCH_ROWS).combine_chunks().to_batches():
            file.append(batch)  # several where a column has more than 2 GB of text
    return file.blocks[before:], file.length, ranges_in(table)  # the rows are at hand


def _as_text(column: pa.ChunkedArray) -> list[pa.Array]:
    """Chunks of text, dictionary-encoded where they are."""
    if pa.types.is_null(column.type):
        column = column.cast(pa.string())
    return [chunk if pa.types.is_dictionary(chunk.type) else chunk.cast(pa.string()) for chunk in column.chunks]
