"""One dictionary for a text column of the whole dataset, in order of first appearance."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

MAX_VALUES = 1 << 15  # a column of more distinct values is plain text
MIN_REPEATS = 4  # as is one whose values don't repeat this often on average


class Coder:
    """Turns blocks of text into codes of one growing dictionary."""

    def __init__(self, values: list[str] | None = None) -> None:
        self.values: list[str] = list(values or [])
        self._codes = {value: code for code, value in enumerate(self.values)}

    def encode(self, column: pa.ChunkedArray) -> pa.Array | None:
        """int32 codes of the column, null where missing; None when there are too many values (nothing is learned then)."""
        parts = []
        fresh: list[str] = []
        codes = self._codes
        for chunk in column.chunks:
            encoded = chunk if pa.types.is_dictionary(chunk.type) else chunk.dictionary_encode()
            if len(encoded.dictionary) > 4 * MAX_VALUES:  # a dictionary may list values that no row has
                encoded = encoded.dictionary_decode().dictionary_encode()
            words = encoded.dictionary.to_pylist()
            for word in words:
                if word is not None and word not in codes:
                    codes[word] = len(self.values) + len(fresh)
                    fresh.append(word)
            if len(self.values) + len(fresh) > MAX_VALUES:
                for word in fresh:
                    del codes[word]
                return None
            table = pa.array([None if word is None else codes[word] for word in words], pa.int32())
            parts.append(pc.take(table, encoded.indices) if len(words) else pa.nulls(len(chunk), pa.int32()))
        self.values += fresh
        return pa.concat_arrays(parts) if parts else pa.array([], pa.int32())

    def array(self) -> pa.Array:
        """The dictionary."""
        return pa.array(self.values, pa.string())
