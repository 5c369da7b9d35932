"""What lies here of a place at a URL: the name of its folder, and a word in errors about it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vaxseq.errors import VaxseqError


def folder_name(url: str) -> str:
    """The name of the folder for what belongs to a URL; nothing of the URL can be read from it."""
    return hashlib.blake2b(url.encode(), digest_size=16).hexdigest()


@contextmanager
def explaining(path: Path, what: str) -> Iterator[None]:
    """Adds to an error that names the path ``what`` is there, since the user has named only the URL."""
    try:
        yield
    except VaxseqError as error:
        if str(path) in str(error):
            error.add_note(f"{path} is {what}")
        raise
