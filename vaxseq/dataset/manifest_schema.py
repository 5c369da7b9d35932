"""The form of a manifest, value by value: what a stranger wrote is checked whole before any of it is used."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import xxhash
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Count = Annotated[int, Field(ge=0, lt=1 << 62)]


def _inside(path: str) -> str:
    """A fragment's path, which stays below the dataset's folder."""
    parts = path.split("/")
    if not path or "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"got {path!r:.80}, expected a path below the dataset's folder")
    if not _is_text(path):
        raise ValueError(f"got {path!r:.80}, expected a path that UTF-8 can write")
    return path


def _is_text(path: str) -> bool:
    """Whether it has no lone surrogate, which JSON can spell and no file system can take."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


class _Form(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class FragmentForm(_Form):
    """One file."""

    path: Annotated[str, AfterValidator(_inside)]
    rows: Count
    size_bytes: Count


class SourceForm(_Form):
    """One source."""

    name: str
    size_bytes: Count
    digest: str
    content: str = ""


class ColumnForm(_Form):
    """One column of the schema."""

    name: Annotated[str, Field(min_length=1)]
    type: Annotated[str, Field(max_length=400)]
    nullable: bool = True
    unit: str | None = None
    timezone: str | None = None
    description: str | None = None
    minimum: int | float | None = None
    maximum: int | float | None = None
    categories: list[str] | None = None


class SchemaForm(_Form):
    """The columns."""

    columns: list[ColumnForm]


class NoticeForm(_Form):
    """What a conversion noticed."""

    column: str | None
    message: str
    lines: list[str]
    options: dict[str, Any]
    lossless: bool


class ManifestForm(_Form):
    """A manifest."""

    version: Literal[1]
    format: Literal["arrow", "hdf5"]
    n_rows: Count
    rejected_rows: Count
    dropped_rows: Count
    schema_: Annotated[SchemaForm, Field(alias="schema")]
    fragments: list[FragmentForm]
    sources: list[SourceForm]
    notices: list[NoticeForm] = []
    forms: dict[str, str] = {}
    ranges: dict[str, Annotated[list[int | float], Field(min_length=2, max_length=2)]] = {}
    checksum: str = ""

    @model_validator(mode="after")
    def _names_differ(self) -> ManifestForm:
        seen: set[str] = set()
        for one in self.fragments:
            if one.path in seen:
                raise ValueError(f"fragment {one.path!r:.80} is listed twice")
            seen.add(one.path)
        return self


def checksum_of(raw: Mapping[str, Any]) -> str:
    """A checksum over plain values, whatever the order of their keys.

    >>> checksum_of({"a": 1, "b": [2]}) == checksum_of({"b": [2], "a": 1})
    True
    """
    text = json.dumps(raw, sort_keys=True, separators=(",", ":"), default=str)
    return xxhash.xxh3_128_hexdigest(text.encode("utf-8", "surrogatepass"))
