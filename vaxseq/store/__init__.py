"""The packed feature store: final rows, computed once, memory-mapped."""

from __future__ import annotations

from vaxseq.store.file import StoreFile, read
from vaxseq.store.materializing import materialize
from vaxseq.store.reading import StoreReader
from vaxseq.store.reuse import store_for

__all__ = ["StoreFile", "StoreReader", "materialize", "read", "store_for"]
