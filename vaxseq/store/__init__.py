"""The packed feature store: final rows, computed once, memory-mapped."""

from __future__ import annotations

from vaxseq.store.choosing import store_for
from vaxseq.store.file import StoreFile, read
from vaxseq.store.materializing import materialize
from vaxseq.store.reading import StoreReader

__all__ = ["StoreFile", "StoreReader", "materialize", "read", "store_for"]
