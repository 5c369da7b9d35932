"""Which store a Sequence reads: the one at a path, or one kept in the cache folder."""

from __future__ import annotations

import hashlib
import logging
import os
from concurrent.futures import Executor
from pathlib import Path

from vaxseq.dataset.addresses import is_url
from vaxseq.dataset.cache import cache_folder
from vaxseq.errors import StoreError
from vaxseq.loading.query import Query
from vaxseq.store.at_url import store_at_url
from vaxseq.store.file import StoreFile, read
from vaxseq.store.materializing import store_of

_log = logging.getLogger("vaxseq")


def store_for(query: Query, store: str | os.PathLike[str], executor: Executor | None = None) -> StoreFile:
    """The store of a query's rows: at a path, or for "auto" in the cache folder; made there when it isn't there yet.

    Of several processes that want the same, such as the ranks of one training, one makes it and the others wait.
    An executor's workers share the making.

    Raises:
        StoreError: the file at the path was made from something else, or can't be written.
    """
    if store == "auto":
        key = hashlib.blake2b("".join(query.fingerprints.values()).encode(), digest_size=16).hexdigest()
        path = cache_folder() / f"store-{key}.h5"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f'store="auto": the cache folder {path.parent} can\'t be made ({error.strerror}). '
                "Set VAXSEQ_CACHE to a folder that can, or give a path."
            ) from error
        if path.exists():
            try:
                read(path)
            except StoreError as error:
                _log.warning("%s; it is made again", error)
                path.unlink(missing_ok=True)
        return store_of(query, path, None, executor=executor, wait=True)
    if is_url(os.fspath(store)):

        def made(path: Path, overwrite: bool) -> StoreFile:
            return _at(query, path, executor, overwrite=overwrite)

        return store_at_url(os.fspath(store), query.fingerprints, made)
    return _at(query, Path(store), executor)


def _at(query: Query, path: Path, executor: Executor | None, *, overwrite: bool = False) -> StoreFile:
    if path.exists() and not overwrite:  # in whatever order of rows it was written
        stored = read(path)
        stored.check(query.fingerprints)
        return stored
    return store_of(query, path, None, overwrite=overwrite, executor=executor, wait=True)
