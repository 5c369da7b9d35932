"""Files in an object store, through fsspec: what is there, and many ranges of them at once, asked for again on failure.

Credentials are fsspec's business: its configuration, the environment, the provider's own files. None is kept here.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from vaxseq.dataset.addresses import shown, without_secrets
from vaxseq.errors import DatasetError, MissingExtraError, SourceError, SourceNotFoundError, VaxseqError

ATTEMPTS = 7
_FETCHED_BYTES, _FETCHED_AT_ONCE = 4 << 20, 8
PATIENCE_S = 8.0  # of attempts that bring nothing; each may take seconds, since a store's own library repeats it too
FIRST_WAIT_S, MOST_WAIT_S = 0.1, 5.0
_FINAL = (
    FileNotFoundError,
    PermissionError,
    NotImplementedError,
    VaxseqError,
)  # the same answer comes however often one asks
_STAMPS = ("ETag", "etag", "md5Hash", "checksum", "mtime", "LastModified", "last_modified", "created", "modified")

Answer = TypeVar("Answer")


class Range(NamedTuple):
    """Bytes ``start`` to ``stop`` of a file."""

    url: str
    start: int
    stop: int


class About(NamedTuple):
    """A file's size, and a text that changes when the file does."""

    size: int
    version: str


def file_system(url: str) -> tuple[Any, str]:
    """The fsspec file system of a URL, and the path in it.

    Raises:
        MissingExtraError: fsspec, or what it needs for this scheme, isn't installed.
        SourceError: no such scheme.
    """
    try:
        import fsspec
    except ImportError as error:
        raise MissingExtraError(f"{shown(url)}: fsspec isn't installed. pip install 'vaxseq[s3]'") from error
    try:
        found: tuple[Any, str] = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise MissingExtraError(
            f"{shown(url)}: {error}. For s3:// that is pip install 'vaxseq[s3]', for https:// 'vaxseq[http]'; for "
            "others, what fsspec names"
        ) from error
    except OSError as error:  # some connect at once
        text = without_secrets(str(error), url)
        raise SourceError(
            f"{shown(url)}: can't be reached: {type(error).__name__}: {text}. Check the address, and whether the "
            "server answers."
        ) from None
    except ValueError as error:
        known = [one for one in ("s3", "gs", "https", "memory", "file") if one in fsspec.available_protocols()]
        raise SourceError(f"{shown(url)}: {error}; expected a scheme that fsspec knows, such as {known}.") from None
    return found


def read_small(url: str, most_bytes: int) -> bytes:
    """A whole small file.

    Raises:
        SourceNotFoundError: nothing there.
        DatasetError: it has more bytes than that.
        SourceError: it can't be read.
    """
    size = about(url).size
    if size > most_bytes:
        raise DatasetError(f"{shown(url)}: got {size:,} bytes, expected a file of {most_bytes:,} bytes at most.")
    return read_ranges([Range(url, 0, size)])[0]


def about(url: str) -> About:
    """What the store says of a file now.

    Raises:
        SourceNotFoundError: nothing there.
        SourceError: the store doesn't answer, or refuses.
    """
    system, path = file_system(url)

    def ask() -> About:
        system.invalidate_cache()
        return about_of(system.info(path))

    with explained(url):
        return again(ask)


def listed(url: str) -> dict[str, About]:
    """The files right in a folder, by name; one question for a thousand of them.

    Raises:
        SourceNotFoundError: nothing there.
        SourceError: the store doesn't answer, or refuses.
    """
    system, path = file_system(url)

    def ask() -> dict[str, About]:
        system.invalidate_cache()
        found = system.ls(path, detail=True)
        return {one["name"].rstrip("/").rpartition("/")[2]: about_of(one) for one in found if one["type"] == "file"}

    with explained(url):
        return again(ask)


def changed_at(url: str) -> float | None:
    """When a file was written, in seconds since 1970; None where the store doesn't tell."""
    system, path = file_system(url)
    with explained(url):
        try:
            moment: datetime = again(partial(system.modified, path))
        except (NotImplementedError, KeyError, FileNotFoundError):
            return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def fetch_file(url: str, told: About, path: Path) -> None:
    """A whole file's copy on the local disk, in ranges, so that the memory stays bounded.

    Raises:
        SourceError: it doesn't come whole.
    """
    step = _FETCHED_BYTES * _FETCHED_AT_ONCE
    with open(path, "wb") as file:
        for first in range(0, told.size, step):
            begins = range(first, min(first + step, told.size), _FETCHED_BYTES)
            file.writelines(read_ranges([Range(url, at, min(at + _FETCHED_BYTES, told.size)) for at in begins]))


def read_ranges(ranges: Sequence[Range]) -> list[bytes]:
    """The bytes of ranges of one store's files, asked for at the same time; those that fail or come short, again.

    Raises:
        SourceNotFoundError: a file isn't there.
        SourceError: a range doesn't come, however often it is asked for.
    """
    if not ranges:
        return []
    system, _ = file_system(ranges[0].url)
    paths = [system._strip_protocol(one.url) for one in ranges]
    found: dict[int, bytes] = {}
    left = list(range(len(ranges)))
    came_at = time.monotonic()
    for attempt in range(ATTEMPTS):
        asked = [ranges[number] for number in left]
        came = system.cat_ranges(
            [paths[number] for number in left], [one.start for one in asked], [one.stop for one in asked],
            on_error="return",
        )  # fmt: skip
        failed: list[tuple[int, BaseException]] = []
        for number, one, content in zip(left, asked, came, strict=True):
            if isinstance(content, bytes) and len(content) == one.stop - one.start:
                found[number] = content
            elif isinstance(content, BaseException):
                failed.append((number, content))
            else:
                failed.append((number, OSError(f"{len(content)} bytes came of {one.stop - one.start}")))
        if not failed:
            return [found[number] for number in range(len(ranges))]
        if len(failed) < len(left):
            came_at = time.monotonic()
        number, error = failed[0]
        if _is_last(attempt, came_at) or any(isinstance(each, _FINAL) for _, each in failed):
            with explained(ranges[number].url):
                raise next((each for _, each in failed if isinstance(each, _FINAL)), error)
        left = [number for number, _ in failed]
        _wait(attempt)
    raise AssertionError("every attempt returns or raises")


def again(ask: Callable[[], Answer]) -> Answer:
    """The answer, asked for again after a failure that may pass."""
    started = time.monotonic()
    for attempt in range(ATTEMPTS):
        try:
            return ask()
        except _FINAL:
            raise
        except Exception:  # each kind of store has errors of its own; the last one is told
            if _is_last(attempt, started):
                raise
            _wait(attempt)
    raise AssertionError("every attempt returns or raises")


def _is_last(attempt: int, since_s: float) -> bool:
    return attempt + 1 == ATTEMPTS or time.monotonic() - since_s > PATIENCE_S


def _wait(attempt: int) -> None:
    """Longer each time, and never the same for all who wait."""
    time.sleep(min(FIRST_WAIT_S * 2**attempt, MOST_WAIT_S) * random.uniform(0.5, 1.0))  # noqa: S311


def about_of(info: dict[str, Any]) -> About:
    """Of what fsspec says of a file."""
    stamps = [f"{key}={info[key]}" for key in _STAMPS if info.get(key) is not None]
    return About(int(info.get("size") or 0), ";".join(stamps))


@contextmanager
def explained(url: str, done: str = "read") -> Iterator[None]:
    """Errors of storage as ours, without secrets: the chain may hold some, so it ends here."""
    try:
        yield
    except VaxseqError:
        raise
    except FileNotFoundError:
        raise SourceNotFoundError(f"{shown(url)}: nothing is there. Check the address.") from None
    except Exception as error:  # noqa: BLE001 - each kind of store has errors of its own
        text = without_secrets(str(error), url)
        raise SourceError(
            f"{shown(url)}: can't be {done}: {type(error).__name__}: {text}. Check the address, the credentials, and "
            "whether the store answers."
        ) from None
