"""The packed feature store: final rows, computed once, memory-mapped."""

from __future__ import annotations

from vaxseq.store.file import StoreFile, read
from vaxseq.store.materialize import materialize, store_of
from vaxseq.store.reading import StoreReader

__all__ = ["StoreFile", "StoreReader", "materialize", "read", "store_of"]
