"""One dictionary for a text column of the whole dataset, in order of first appearance."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

MAX_VALUES = 1 << 15  # a column of more distinct values is plain text
MIN_REPEATS = 4  # as is one whose values don't repeat this often on average


class Coder:
    """Turns blocks of text into codes of one growing dictionary."""

    def __init__(self, values: list[str] | None = None) -> None:
        self.values: list[str] = list(values or [])
        self._codes = {value: code for code, value in enumerate(self.values)}

    def encode(self, chunks: Iterable[pa.Array]) -> pa.Array | None:
        """int32 codes of text, null where missing; None when there are too many values (nothing is learned then)."""
        parts = []
        fresh: list[str] = []
        codes = self._codes
        for chunk in chunks:
            encoded = _encoded(chunk)
            words = encoded.dictionary.to_pylist() if encoded is not None else []
            if encoded is None:
                for word in fresh:
                    del codes[word]
                return None
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


def _encoded(chunk: pa.Array) -> pa.DictionaryArray | None:
    """The chunk with a dictionary of the values that its rows have; None when they are certainly too many."""
    if pa.types.is_dictionary(chunk.type):
        if len(chunk.dictionary) <= MAX_VALUES:
            return chunk
        used = pc.unique(chunk.indices).drop_null()  # a dictionary may list values that no row has
        if len(used) > MAX_VALUES:
            return None
        chunk = chunk.dictionary_decode()
    elif len(chunk) > 2 * MAX_VALUES and len(pc.unique(chunk.slice(0, 2 * MAX_VALUES))) > MAX_VALUES + 1:
        return None  # a look at the first rows spares the hashing of all
    found = chunk.dictionary_encode()
    return found if len(found.dictionary) <= MAX_VALUES else None
