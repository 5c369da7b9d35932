"""Arrow IPC files: uncompressed, so that they memory-map."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from vaxseq.convert.writers.base import Tables, Writer
from vaxseq.convert.writers.ipc import IpcFile

_BATCH_ROWS = 1 << 20


class ArrowWriter(Writer):
    """Holds every type of a dataset as it is; an instant with a zone becomes naive UTC, its zone kept as metadata."""

    name = "arrow"
    suffixes = (".arrow", ".feather", ".ipc")

    @classmethod
    def kind(cls, kind: pa.DataType, column: str) -> pa.DataType:
        if pa.types.is_null(kind):
            return pa.float64()
        if pa.types.is_timestamp(kind) and kind.tz:
            return pa.timestamp(kind.unit)
        return kind

    @classmethod
    def write(cls, path: Path, schema: pa.Schema, tables: Tables, rows: int, metadata: Mapping[str, str]) -> None:
        file = IpcFile(path, schema)
        dictionaries = {field.name: pa.array([], pa.string()) for field in schema if pa.types.is_dictionary(field.type)}
        for table in tables():
            for start in range(0, table.num_rows, _BATCH_ROWS):
                for batch in table.slice(start, _BATCH_ROWS).combine_chunks().to_batches():
                    for name in dictionaries:
                        dictionaries[name] = batch.column(name).dictionary
                    file.append(batch)
        file.finish(dictionaries, {key.encode(): value.encode() for key, value in metadata.items()})
