"""A 64-bit hash of key columns that depends on the values alone: the same on every machine, for every file format."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vaxseq.errors import OptionError
from vaxseq.expressions.values import Value
from vaxseq.plan.keys import derive, hash_ids

Hashes = npt.NDArray[np.uint64]

_MISSING = np.uint64(derive(21))
_TEXT, _COLUMN = derive(22), derive(23)
_CHUNK_TEXTS = 1 << 15  # texts hashed at once: eight bytes for each of theirs


def hash_keys(columns: Sequence[Value]) -> Hashes:
    """One hash a row of one or more key columns, shape (rows,); a missing key is a key of its own.

    A whole float hashes as the integer, so that a column reads the same whether a missing value made it float.
    """
    found = hash_column(columns[0])
    for column in columns[1:]:
        found = hash_ids(found, _COLUMN) ^ hash_column(column)
    return found


def hash_column(column: Value) -> Hashes:
    """One hash a row, shape (rows,).

    Raises:
        OptionError: an array column.
    """
    if isinstance(column.data, pa.Array):
        return _hash_text(column.data)
    if column.shape:
        raise OptionError(f"key: got an array column of shape {column.shape}, expected one value a row")
    data = column.data
    if column.kind == "float":
        wide = data.astype(np.float64)
        with np.errstate(invalid="ignore"):
            whole = (np.abs(wide) < 2.0**53) & (wide == np.trunc(wide))
        found = hash_ids(np.where(whole, np.where(whole, wide, 0).astype(np.int64), wide.view(np.int64)), 0)
    elif column.kind in ("datetime", "timedelta"):
        found = hash_ids(data.astype(f"{data.dtype.kind}8[us]").view(np.int64), 0)
    else:
        found = hash_ids(data.astype(np.int64), 0)
    missing = column.is_missing()
    return np.where(missing, _MISSING, found) if missing.any() else found


def _hash_text(texts: pa.Array) -> Hashes:
    if isinstance(texts, pa.DictionaryArray):
        words = _hash_text(texts.dictionary)
        codes = texts.indices.fill_null(len(words)).to_numpy(zero_copy_only=False)
        found: Hashes = np.take(np.append(words, _MISSING), codes)
        return found
    pieces = [_hash_plain(texts.slice(at, _CHUNK_TEXTS)) for at in range(0, len(texts), _CHUNK_TEXTS)]
    return np.concatenate(pieces) if pieces else np.empty(0, np.uint64)


def _hash_plain(texts: pa.Array) -> Hashes:
    """Each byte with its place hashed on its own, summed: tabulation hashing without the table."""
    texts = texts.cast(pa.large_string())
    offsets = np.frombuffer(texts.buffers()[1], np.int64)[texts.offset : texts.offset + len(texts) + 1]
    lengths = np.diff(offsets)
    sums = np.zeros(len(texts), np.uint64)
    filled = np.flatnonzero(lengths)
    if filled.size:
        text = np.frombuffer(texts.buffers()[2], np.uint8)[offsets[0] : offsets[-1]].astype(np.int64)
        starts = offsets[:-1] - offsets[0]
        place = np.arange(len(text)) - np.repeat(starts, lengths)
        sums[filled] = np.add.reduceat(hash_ids(place << 8 | text, _TEXT), starts[filled])
    found = hash_ids(sums + lengths.astype(np.uint64), _TEXT)
    if texts.null_count:
        found[texts.is_null().to_numpy(zero_copy_only=False)] = _MISSING
    return found
