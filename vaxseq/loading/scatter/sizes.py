"""How much is held and moved at once, from the memory that there is."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

from vaxseq.frame.pages import PAGE

_BUCKET_SHARE = 1 / 36  # of the memory: two buckets are held, one more comes, and what moves them
_MOST_BYTES = 40 << 20
_LEAST_BYTES = 64 << 10
_MOST_BUCKETS = 1 << 16  # a bucket's number is to fit 16 bits, which sort quickly
_PIECES_SHARE, _PIECE_BYTES = 1 / 20, 256 << 10  # each bucket fills a piece in memory; smaller ones are slow to write
_SMALL_PIECE_BYTES = 64 << 10  # before pieces are smaller, buckets and pieces get more of a little memory
_MOST_BUCKET_SHARE, _MOST_PIECES_SHARE = 1 / 18, 1 / 8
_CHUNK_SHARE, _MOST_CHUNK_BYTES = 1 / 80, 16 << 20  # several are on their way at once
_LARGE_SHARE = 1 / 400  # of a large memory, beyond these limits


@dataclass(frozen=True, slots=True)
class Sizes:
    """Rows of a bucket, bytes of a piece of it that is written at once, rows of a chunk that is scattered at once."""

    bucket_rows: int
    piece_bytes: int
    chunk_rows: int

    @classmethod
    def of(cls, rows: int, row_bytes: int, memory_bytes: int | None) -> Sizes:
        """For so many rows of so many bytes each.

        >>> Sizes.of(30_000_000, 88, 1 << 30)
        Sizes(bucket_rows=338933, piece_bytes=262144, chunk_rows=152520)
        >>> Sizes.of(1_875_000, 5400, 350 << 20)  # many times the memory
        Sizes(bucket_rows=2754, piece_bytes=65536, chunk_rows=849)
        """
        memory = memory_bytes or 1 << 30
        large = int(memory * _LARGE_SHARE)
        bucket = int(min(max(memory * _BUCKET_SHARE, _LEAST_BYTES), max(_MOST_BYTES, large)))
        data = rows * row_bytes
        bucket = max(bucket, -(-data // _MOST_BUCKETS))
        if memory * _PIECES_SHARE * bucket < _SMALL_PIECE_BYTES * data:
            least = isqrt(_SMALL_PIECE_BYTES * data // 3)  # where three buckets and the pieces together are least
            bucket = max(bucket, min(least, int(memory * _MOST_BUCKET_SHARE)))
        buckets = max(1, -(-data // bucket))
        most = int(max(min(memory * _CHUNK_SHARE, _MOST_CHUNK_BYTES), large, _LEAST_BYTES))
        chunk = min(max(_PIECE_BYTES * buckets, 8 << 20), most)
        pieces = max(memory * _PIECES_SHARE, min(memory * _MOST_PIECES_SHARE, _SMALL_PIECE_BYTES * buckets))
        piece = min(max(int(pieces) // buckets // PAGE, 1) * PAGE, _PIECE_BYTES)
        return cls(max(1, bucket // row_bytes), piece, max(1, chunk // row_bytes))
