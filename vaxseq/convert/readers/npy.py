"""NumPy files: .npy (one array, or a record array's fields) and .npz (arrays of equal length)."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from vaxseq.convert import places
from vaxseq.convert.readers.arrays import arrow_type, to_arrow
from vaxseq.convert.readers.base import Piece, TypedReader, Unit
from vaxseq.errors import SchemaError, SourceError, SourceNotFoundError

_PIECE_BYTES = 32 << 20
_DAMAGE = (OSError, ValueError, EOFError, KeyError, SyntaxError, MemoryError, OverflowError, NotImplementedError,
TypeError,
           RuntimeError, tokenize.TokenError, zipfile.BadZipFile, zlib.error)  # fmt: skip


class NpyReader(TypedReader):
    """An .npy file is memory-mapped; of an .npz the arrays are loaded, as its compression demands."""

    name = "npy"
    suffixes = (".npy", ".npz")

    def __init__(self, source: Any, options: Mapping[str, Any]) -> None:
        super().__init__(source, options)
        if places.is_url(source.path):
            raise SourceError(f"{self.where}: a NumPy file is memory-mapped, so it can't be a URL. Copy it here first.")
        try:
            loaded = np.load(source.path, mmap_mode="r", allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                names = loaded.dtype.names
                self._arrays = {name: loaded[name] for name in names} if names else {"data": loaded}
            else:
                with loaded:
                    self._arrays = {name: loaded[name] for name in loaded.files}
        except FileNotFoundError as error:
            raise SourceNotFoundError(f"{self.where}: no such file. Check the path.") from error
        except _DAMAGE as error:
            raise SourceError(
                f"{self.where}: can't read the NumPy file: {error}. It is damaged, or holds Python objects."
            ) from error
        lengths = {name: array.shape[0] if array.ndim else None for name, array in self._arrays.items()}
        if not lengths or None in lengths.values() or len(set(lengths.values())) != 1:
            raise SchemaError(f"{self.where}: arrays must have rows, and equally many; got {lengths}.")
        self._rows = int(next(iter(lengths.values())) or 0)
        self._schema = pa.schema([(name, arrow_type(array.dtype, array.shape[1:], f"{self.where}: {name!r}"))
                                  for name, array in self._arrays.items()])  # fmt: skip

    def schema(self) -> pa.Schema:
        return self._schema

    def units(self, index: int) -> Iterator[Unit]:
        row_bytes = sum(array.nbytes // max(self._rows, 1) for array in self._arrays.values()) or 1
        size = int(min(max(_PIECE_BYTES // row_bytes, 1), 1 << 20))
        for start in range(0, self._rows, size):
            yield Unit(index, start, min(start + size, self._rows))

    def pieces(self, unit: Unit, skip: int = 0) -> Iterator[Piece]:
        if not skip:
            columns = {name: to_arrow(array[unit.start : unit.stop], None, f"{self.where}: {name!r}")
                       for name, array in self._arrays.items()}  # fmt: skip
            yield Piece(pa.table(columns), unit.start)

    def estimate_bytes(self) -> int:
        return sum(array.nbytes for array in self._arrays.values())
