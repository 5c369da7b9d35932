"""Rows that are left out, with what was wrong: journaled while a conversion runs, then Parquet beside the target."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

REJECTS_SUFFIX = ".rejects.parquet"

_LOG = "rejects.jsonl"
_TOGETHER = 1 << 14  # rows


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that was left out, and why."""

    source: str
    line: int
    column: str | None
    value: str | None
    reason: str
    text: str


def log_rejects(folder: Path, length: int, rejects: list[Reject]) -> int:
    """Adds rows behind the first ``length`` bytes of the folder's log; how many bytes they took."""
    if not rejects:
        return 0
    content = b"".join(json.dumps(asdict(one)).encode() + b"\n" for one in rejects)
    with open(folder / _LOG, "ab") as file:
        file.truncate(length)
        file.seek(length)
        file.write(content)
    return len(content)


def logged_rejects(folder: Path, length: int) -> Iterator[dict[str, Any]]:
    """The rows in the first ``length`` bytes of the folder's log, in order."""
    if not length:
        return
    with open(folder / _LOG, "rb") as file:
        for line in file:
            if length <= 0:
                return
            length -= len(line)
            yield json.loads(line)


def save_rejects(path: Path, rejects: Iterable[dict[str, Any]]) -> None:
    """Writes the rows as a Parquet file."""
    text = pa.string()
    schema = pa.schema(
        [("source", text), ("line", pa.int64()), ("column", text), ("value", text), ("reason", text), ("text", text)]
    )
    with pq.ParquetWriter(path, schema) as writer:
        held = []
        for one in rejects:
            held.append(one)
            if len(held) == _TOGETHER:
                writer.write_table(pa.Table.from_pylist(held, schema))
                held = []
        writer.write_table(pa.Table.from_pylist(held, schema))
