"""What every writer is: a target file that takes tables in order and appears whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

Tables = Callable[[], Iterator[pa.Table]]


class Writer(ABC):
    """One target format; a subclass is found by its suffixes."""

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]

    @classmethod
    @abstractmethod
    def kind(cls, kind: pa.DataType, column: str) -> pa.DataType:
        """The type that the format holds this one's values in.

        Raises:
            SchemaError: it can't hold them exactly.
        """

    @classmethod
    @abstractmethod
    def write(cls, path: Path, schema: pa.Schema, tables: Tables, rows: int, metadata: Mapping[str, str]) -> None:
        """Writes a whole file of ``rows`` rows and makes it durable. ``tables`` can be walked more than once."""
