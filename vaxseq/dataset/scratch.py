"""Rows that come only once, or may be more than memory holds: kept in memory up to a limit, beyond it in a file."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from vaxseq.errors import SourceError

_HELD_BYTES = 256 << 20


class ScratchFolder:
    """A folder in the temporary one, gone with the frame that is opened from it, or with the process."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="vaxseq-"))
        self._remove = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """Where writing fails, nothing is left, and the error says what to do."""
        try:
            yield
        except OSError as error:
            self._remove()
            remedy = "Set TMPDIR to a folder with room"
            raise SourceError(f"{self.path}: can't hold the rows of a query; {error}. {remedy}.") from error
        except BaseException:
            self._remove()
            raise

    def opened(self, file: Path, open_file: Callable[[Path], Any]) -> Any:
        """The frame of a file in it, which from now on keeps the folder."""
        frame = open_file(file)
        self._remove.detach()
        weakref.finalize(frame.dataset, shutil.rmtree, self.path, ignore_errors=True)
        return frame


def spooled(
    schema: pa.Schema, tables: Iterator[pa.Table], held_bytes: int = _HELD_BYTES
) -> pa.Table | tuple[ScratchFolder, Path]:
    """All rows of a stream: a table, or beyond ``held_bytes`` an Arrow file, written table by table.

    Raises:
        SourceError: the stream breaks off, or the file can't be written.
    """
    held: list[pa.Table] = []
    size = 0
    for one in tables:
        held.append(one)
        size += one.nbytes
        if size > held_bytes:
            return _written(held, tables)
    return pa.concat_tables(held) if held else schema.empty_table()


def _written(held: list[pa.Table], more: Iterator[pa.Table]) -> tuple[ScratchFolder, Path]:
    folder = ScratchFolder()
    file = folder.path / "rows.arrow"
    schema = pa.schema([_storable(field) for field in held[0].schema])
    with folder.guarded(), pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for number in range(len(held)):
            writer.write_table(held[number].cast(schema))
            held[number] = held[0].slice(0, 0)  # its memory is free again
        for one in more:
            writer.write_table(one.cast(schema))
    return folder, file


def _storable(field: pa.Field) -> pa.Field:
    """A file holds one dictionary for all its batches, which a stream doesn't know before its end."""
    kind = field.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return field.with_type(pa.large_string() if pa.types.is_string_view(kind) else kind)
