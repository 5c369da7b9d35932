"""A URL, or a database's address, as it may be shown: without what only its owner should know."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

_URL = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*::)*[A-Za-z][A-Za-z0-9+.-]+://")  # a single letter is a drive
_ADDRESS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):/+")  # a Path makes one slash of two
_SECRET = re.compile(
    r"pass|pwd|secret|token|sig|cred|key|auth|jwt|bearer|session|cookie|sas|private|cert|otp|^code$|^pin$|^p$|^pw$",
    re.IGNORECASE,
)
# where a name before the @ is a name; elsewhere it may be a token
_NAMED_USERS = frozenset(
    ("postgresql", "postgres", "mysql", "mariadb", "mssql", "oracle", "snowflake", "redshift", "sqlite", "duckdb",
     "clickhouse", "flightsql", "grpc", "grpc+tls", "ftp", "ftps", "sftp", "ssh", "smb", "hdfs")
)  # fmt: skip
_ITEMS = re.compile(r"([&;])")


class _Parts(NamedTuple):
    head: str  # scheme and slashes
    scheme: str
    user: str | None
    rest: str  # host and path
    query: str
    fragment: str


def is_url(path: str) -> bool:
    """Whether it has a scheme: ``s3://bucket/key``, or several: ``simplecache::https://host/file``."""
    return bool(_URL.match(path))


def shown(path: str) -> str:
    """The name for messages, manifests and journals: without passwords, tokens, keys and signatures.

    >>> shown("https://me:secret@host/a.csv?day=1&token=abc")
    'https://host/a.csv?day=1'
    """
    return "::".join(_shown(part) for part in path.split("::")) if is_url(path) or _ADDRESS.match(path) else path


def secrets_of(path: str) -> tuple[str, ...]:
    """What ``shown`` leaves out of a URL, as it stands there and decoded."""
    found: list[str] = []
    for part in path.split("::") if is_url(path) or _ADDRESS.match(path) else ():
        parts = _parts(part)
        if parts is None:
            continue
        if parts.user is not None:
            name, _, password = parts.user.partition(":")
            found += [password, *([] if parts.scheme in _NAMED_USERS else [name])]
        for text in (parts.query, parts.fragment, parts.rest.partition(";")[2]):
            found += [item.partition("=")[2] for item in _ITEMS.split(text) if _is_secret(item)]
        if "=" not in parts.fragment:
            found.append(parts.fragment)
    return tuple(dict.fromkeys(one for raw in found for one in (raw, unquote(raw)) if one))


def without_secrets(text: str, path: str) -> str:
    """A text, such as another library's message, in which the secrets of a URL are masked."""
    for secret in sorted(secrets_of(path), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _shown(text: str) -> str:
    parts = _parts(text)
    if parts is None:
        return text
    user = parts.user.partition(":")[0] + "@" if parts.user and parts.scheme in _NAMED_USERS else ""
    rest, semicolon, options = parts.rest.partition(";")
    options, query = _without(options), _without(parts.query)
    return f"{parts.head}{user}{rest}{semicolon if options else ''}{options}{'?' if query else ''}{query}"


def _without(text: str) -> str:
    """The items of a query that are no secrets."""
    pieces = _ITEMS.split(text)
    kept = [(mark, item) for mark, item in zip(["", *pieces[1::2]], pieces[::2], strict=True) if not _is_secret(item)]
    return "".join(item if number == 0 else mark + item for number, (mark, item) in enumerate(kept))


def _is_secret(item: str) -> bool:
    key, mark, _ = item.partition("=")
    return bool(mark) and bool(_SECRET.search(unquote(key)))


def _parts(text: str) -> _Parts | None:
    found = _ADDRESS.match(text)
    if found is None:
        return None
    rest = text[found.end() :]
    host = re.split(r"[/?#]", rest, maxsplit=1)[0]
    user = None
    if "@" in host:
        user, _, after = host.rpartition("@")
        rest = after + rest[len(host) :]
    elif ":" in host and "@" in rest and not host.rpartition(":")[2].rstrip("]").isdigit():
        user, _, rest = rest.rpartition("@")  # a password with one of / ? # that isn't written as %2F
    rest, _, fragment = rest.partition("#")
    rest, _, query = rest.partition("?")
    return _Parts(found[0], found["scheme"].lower(), user, rest, query, fragment)
