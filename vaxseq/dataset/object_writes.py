"""Files put into an object store: each whole or not at all, and one only if what it replaces is still what it was."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import Any

from vaxseq.dataset.addresses import shown
from vaxseq.dataset.objects import About, about, about_of, again, explained, file_system, read_small
from vaxseq.errors import OptionError, SourceNotFoundError

_READ_ONLY = ("http://", "https://")
_MET_ANOTHER = frozenset(("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "412"))
_UNKNOWN_CONDITION = frozenset(("NotImplemented", "501"))


def check_writable(url: str) -> None:
    """Refuses an address that can only be read.

    Raises:
        OptionError: naming it.
    """
    if url.startswith(_READ_ONLY):
        raise OptionError(
            f"{shown(url)}: a web server's files can be read, not written. Name a bucket, such as s3://bucket/folder, "
            "or a local path, and copy the dataset to where the server takes it from."
        )


def put_file(path: str | os.PathLike[str], url: str) -> None:
    """A local file's copy at a URL, asked for again until it is there in its size.

    Raises:
        SourceError: the store doesn't answer, or refuses.
    """
    system, inside = file_system(url)
    size = os.path.getsize(path)

    def send() -> None:
        system.put_file(os.fspath(path), inside)
        came = about(url).size
        if came != size:
            raise OSError(f"{came} bytes are there of {size}")

    with explained(url, "written"):
        again(send)


def put_if_unchanged(url: str, content: bytes, before: About | None) -> bool:
    """Puts a small file in place of the one that ``before`` tells of, or, with None, where no file is.

    S3 does so in one step, whoever else writes. Of a store that has no such step it is asked just before.

    Returns:
        Whether it is there now; False if another file is.

    Raises:
        SourceError: the store doesn't answer, or refuses.
    """
    system, inside = file_system(url)

    def send() -> bool:
        system.invalidate_cache()
        try:
            info = system.info(inside)
        except FileNotFoundError:
            info = None
        if (None if info is None else about_of(info)) != before:
            return False
        return _put(system, inside, content, info)

    with explained(url, "written"):
        if again(send):
            return True
    with suppress(SourceNotFoundError):  # an answer may have been lost on its way, and the file put
        return about(url).size == len(content) and read_small(url, len(content)) == content
    return False


def remove(urls: Iterable[str]) -> None:
    """Removes files; one that isn't there is as good as removed.

    Raises:
        SourceError: the store doesn't answer, or refuses.
    """
    for url in urls:
        system, inside = file_system(url)
        with explained(url, "removed"), suppress(FileNotFoundError):
            again(partial(system.rm_file, inside))


def _put(system: Any, inside: str, content: bytes, info: dict[str, Any] | None) -> bool:
    """One attempt, in the way that the store has; ``info`` is of the file that is to be replaced."""
    if hasattr(system, "call_s3"):
        bucket, key, _ = system.split_path(inside)
        condition = {"IfNoneMatch": "*"} if info is None else {"IfMatch": info["ETag"]}
        try:
            system.call_s3("put_object", Bucket=bucket, Key=key, Body=content, **condition)
        except Exception as error:
            said = _codes(error)
            if said & _MET_ANOTHER:
                return False
            if not said & _UNKNOWN_CONDITION:
                raise
        else:
            return True
    try:
        system.pipe_file(inside, content, mode="create" if info is None else "overwrite")
    except FileExistsError:
        return False
    return True


def _codes(error: BaseException | None) -> set[str]:
    """What S3 calls an error, wherever in the chain it is kept."""
    found: set[str] = set()
    while error is not None:
        answer = getattr(error, "response", None)
        if isinstance(answer, dict):
            found.add(str(answer.get("Error", {}).get("Code")))
            found.add(str(answer.get("ResponseMetadata", {}).get("HTTPStatusCode")))
        error = error.__cause__ or error.__context__
    return found
