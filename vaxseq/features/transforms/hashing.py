"""Categories to a fixed number of buckets by a hash that never changes."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from vaxseq.expressions.values import Value
from vaxseq.features.learners.base import mix
from vaxseq.features.learners.counts import text_codes
from vaxseq.features.transforms.base import Apply, Learned
from vaxseq.features.transforms.categorical import Category

Words = npt.NDArray[np.uint64]
_FNV_OFFSET = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)


class Hash(Category):
    """Codes 1..buckets by a hash of the value, 0 for missing: nothing to learn, no value unseen."""

    name: ClassVar[str] = "hash"
    short: ClassVar[str | None] = "buckets"
    docs: ClassVar[str] = (
        "codes 1 .. `buckets` by a hash that is the same on every machine and version; `seed` gives another one"
    )
    width: ClassVar[str] = "1 (codes 0 .. buckets)"
    on_missing: ClassVar[str] = "code 0"

    buckets: Annotated[int, Field(ge=1, le=2**31 - 2)]
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0

    def compile(self, learned: Learned) -> Apply:
        seed, buckets = np.uint64(self.seed), np.uint64(self.buckets)

        def codes(hashes: Words) -> npt.NDArray[np.int64]:
            return (mix(hashes ^ seed) % buckets).astype(np.int64) + 1

        def run(value: Value) -> Value:
            if isinstance(value.data, pa.Array):
                places, texts = text_codes(value.data)
                return Value(np.take(np.append(codes(text_hashes(texts)), 0), places))
            found = codes(mix(value.data.astype(np.int64, copy=False).view(np.uint64)))
            if value.missing is not None:
                found[value.missing] = 0
            return Value(found)

        return run

    def encode(self, learned: Learned) -> Apply | None:
        return self.compile(learned)

    def keras(self, ops: Any, x: Any, learned: Learned) -> Any:
        return x


def text_hashes(texts: pa.Array) -> Words:
    """The 64-bit FNV-1a hash of each text's UTF-8 bytes, shape (texts,).

    Source: Fowler, Noll, Vo; IETF draft-eastlake-fnv.
    """
    texts = texts.cast(pa.large_string())
    hashes = np.full(len(texts), _FNV_OFFSET)
    _, offset_buffer, byte_buffer = texts.buffers()
    if len(texts) == 0 or byte_buffer is None:
        return hashes
    offsets = np.frombuffer(offset_buffer, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    data = np.frombuffer(byte_buffer, np.uint8)
    lengths = np.diff(offsets)
    order = np.argsort(-lengths, kind="stable")  # the texts that still have a byte at a place come first
    ordered, starts = lengths[order], offsets[:-1][order]
    working = hashes[order]
    alive = len(order)
    for place in range(int(ordered[0])):
        while alive and ordered[alive - 1] <= place:
            alive = int(np.searchsorted(-ordered, -place, side="left"))
        working[:alive] = (working[:alive] ^ data[starts[:alive] + place]) * _FNV_PRIME
    hashes[order] = working
    return hashes
