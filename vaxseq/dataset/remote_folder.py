"""A dataset's folder in an object store: its manifest, and what the store says of its fragments."""

from __future__ import annotations

import json
from collections.abc import Iterable

from vaxseq.dataset import objects
from vaxseq.dataset.addresses import shown
from vaxseq.dataset.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, Fragment, Manifest
from vaxseq.errors import DatasetError, OptionError, SourceNotFoundError

_LOOKS = 5


def check_folder(root: str) -> None:
    """Refuses an address below which there can't be files.

    Raises:
        OptionError: signed, or of several schemes.
    """
    if "?" in root or "#" in root or "::" in root:
        raise OptionError(
            f"{shown(root)}: signed and chained addresses have no files below them. Name a dataset's folder."
        )


def read_manifest(root: str) -> tuple[Manifest, objects.About]:
    """The manifest of the folder at a URL, and what tells it from one that comes after it.

    Raises:
        SourceNotFoundError: none is there.
        DatasetError: it is damaged.
        SourceError: the store doesn't answer, or refuses.
    """
    url, where = f"{root}/{MANIFEST_NAME}", shown(root)
    now = objects.about(url)
    for look in range(_LOOKS):
        before = now
        if before.size > MAX_MANIFEST_BYTES:
            raise DatasetError(
                f"{shown(url)}: got {before.size:,} bytes, expected a manifest, a file of {MAX_MANIFEST_BYTES:,} bytes "
                "at most."
            )
        content = objects.read_small(url, MAX_MANIFEST_BYTES)
        now = objects.about(url)
        if now != before and look + 1 < _LOOKS:  # another run has just put a new one
            continue
        try:
            return Manifest.from_dict(json.loads(content), where), before
        except (ValueError, RecursionError) as error:
            if isinstance(error, DatasetError):
                raise
            raise DatasetError(f"{where}: can't read the manifest: {error}. Put the dataset there anew.") from error
    raise AssertionError("the last look returns or raises")


def read_folder(root: str) -> tuple[Manifest, list[objects.About]]:
    """The manifest, and what the store says of each fragment that has rows.

    Raises:
        SourceNotFoundError: no manifest is there.
        DatasetError: it is damaged, or a fragment isn't there.
        SourceError: the store doesn't answer, or refuses.
    """
    manifest, about = read_manifest(root)
    try:
        return manifest, fragment_abouts(root, manifest.filled())
    except DatasetError:
        fresh, now = read_manifest(root)
        if now == about:
            raise
    return fresh, fragment_abouts(root, fresh.filled())  # the dataset was replaced in between


def fragment_abouts(root: str, fragments: Iterable[Fragment]) -> list[objects.About]:
    """What the store says of fragments, which are all there, in their size.

    Raises:
        DatasetError: naming one that isn't.
    """
    where = shown(root)
    listing = {} if root.startswith(("http://", "https://")) else objects.listed(root)
    found = []
    for one in fragments:
        try:
            about = listing.get(one.path) or objects.about(f"{root}/{one.path}")
        except SourceNotFoundError as error:
            raise DatasetError(f"{where}: fragment {one.path!r} of its manifest isn't there. Put it there.") from error
        if about.size != one.size_bytes:
            raise DatasetError(
                f"{where}: fragment {one.path!r} has {about.size:,} bytes, expected {one.size_bytes:,} as in the "
                "manifest. Put it there anew."
            )
        found.append(about)
    return found
