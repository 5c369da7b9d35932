"""Which store a Sequence reads: the one at a path, or one kept in the cache folder."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from vaxseq.selection import cache_folder
from vaxseq.served import Served
from vaxseq.store.file import StoreFile, read
from vaxseq.store.materializing import store_of


def store_for(served: Served, store: str | os.PathLike[str], plain: dict[str, Any]) -> StoreFile:
    """The store of what is served: at a path, or for "auto" in the cache folder; made there when it isn't there yet.

    Raises:
        StoreError: the file at the path was made from something else.
    """
    if store == "auto":
        key = hashlib.blake2b("".join(served.fingerprints.values()).encode(), digest_size=16).hexdigest()
        path = cache_folder() / f"store-{key}.h5"
        path.parent.mkdir(parents=True, exist_ok=True)
    else:
        path = Path(store)
    if path.exists():
        stored = read(path)
        stored.check(served.fingerprints)
        return stored
    return store_of(served, path, plain, None)
