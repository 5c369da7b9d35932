"""Where a dataset may be put: in a place of its own, or in that of one of ours; never in another's."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path

from vaxseq.convert import storage
from vaxseq.convert.journal import JOURNAL_NAME, LOCK_NAME
from vaxseq.convert.readers.base import Source
from vaxseq.dataset.manifest import MANIFEST_NAME, Manifest, SourcePrint
from vaxseq.errors import DatasetError, OptionError

_OURS = re.compile(r"part-\d{5,}(-[0-9a-f]{12})?\.(arrow|hdf5)|\.?manifest\.json(\.\d+\.partial)?|checksums\.json")


def is_ours(name: str) -> bool:
    """Whether a file of a dataset's folder may have this name."""
    return bool(_OURS.fullmatch(name))


def check_place(target: Path) -> None:
    """Refuses a path that can't have a dataset: the working folder, the root, a mount, or what holds them.

    Raises:
        OptionError: naming the path.
    """
    text = str(target)
    if "\0" in text:
        raise OptionError(f"convert: target {text!r}: got a path with a zero byte, expected a name for the dataset.")
    if storage.is_url(os.fspath(target)) or re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", text):
        raise OptionError(
            f"convert: target {storage.shown(text)}: got a URL as a path, expected it as text, or a local path. Pass "
            "it as it is written, 's3://bucket/folder'; what isn't done at a URL, do on a local disk."
        )
    real = Path(os.path.realpath(target))
    here = Path(os.path.realpath(os.curdir))
    if not target.name or target.name in (".", "..") or real == here or real in here.parents or os.path.ismount(target):
        raise OptionError(
            f"convert: target {text!r}: is a folder in use (the working folder, one above it, or a mount), expected a "
            "name for the dataset. Name a file or folder below it."
        )


def check_apart(target: Path, sources: Iterable[Source]) -> None:
    """Refuses a target that is one of the sources, or holds one.

    Raises:
        OptionError: naming the source.
    """
    place = Path(os.path.realpath(target))
    for source in sources:
        for path in filter(None, (source.path, source.data if isinstance(source.data, str) else None)):
            if storage.is_url(path):
                continue
            real = Path(os.path.realpath(path))
            if real == place or place in real.parents:
                raise OptionError(
                    f"convert: target {target}: the source {source.name} is there, and would be lost. Choose another "
                    "target."
                )


def check_replaceable(target: Path) -> None:
    """Refuses to overwrite what isn't a dataset of ours, or holds something besides.

    Raises:
        DatasetError: saying what is in the way.
    """
    if target.is_symlink() and not target.exists():
        raise DatasetError(f"{target}: a link to nothing is there. Remove it, or choose another target.")
    if not target.exists():
        return
    if target.is_dir():
        names = sorted(os.listdir(target))
        strange = [name for name in names if not is_ours(name)]
        if strange or (names and not _has_manifest(target)):
            what = f"it holds {strange[0]!r}" if strange else f"it has no {MANIFEST_NAME} of ours"
            raise DatasetError(
                f"{target}: not replaced: {what}, so it isn't a dataset of vaxseq's alone. Choose another target, or "
                "move what is there away yourself."
            )
        return
    if not target.is_file():
        raise DatasetError(f"{target}: not replaced: a device, pipe or socket is there. Choose another target.")
    if target.stat().st_size == 0:
        return
    try:
        Manifest.load(target)
    except DatasetError as error:
        raise DatasetError(
            f"{target}: not replaced: the file isn't a dataset that vaxseq made, or is damaged ({error}). Choose "
            "another target, or remove the file yourself."
        ) from error


def _has_manifest(folder: Path) -> bool:
    """Whether the folder's manifest is ours; one that can't be read counts beside fragments of ours."""
    path = folder / MANIFEST_NAME
    if not path.is_file():
        return False
    try:
        raw = json.loads(path.read_bytes())
    except ValueError:
        return any(name.startswith("part-") for name in os.listdir(folder))
    return isinstance(raw, dict) and {"version", "schema", "fragments"} <= set(raw)


def check_work(work: Path, target: Path) -> None:
    """Refuses a working folder, ``<target>.partial``, that isn't one of ours.

    Raises:
        DatasetError: something else has that name.
    """
    for folder in (work, done_folder(work)):
        if not os.path.lexists(folder):
            continue
        names = os.listdir(folder) if folder.is_dir() and not folder.is_symlink() else None
        if names is None or (names and not {LOCK_NAME, JOURNAL_NAME} & set(names)):
            raise DatasetError(
                f"{target}: {folder} is in the way: it isn't the working folder of a conversion. Move it away, or "
                "choose another target."
            )


def done_folder(work: Path) -> Path:
    """What the working folder is called from the moment that all is done, until it is gone."""
    return work.with_name(work.name + "-done")


def done_note(done: Path) -> Path:
    """Where the journal of a run that is done stands when its folder goes."""
    return done.with_name(f".{done.name}")


def check_new(target: Path | str, before: Iterable[SourcePrint], now: Iterable[SourcePrint]) -> None:
    """Refuses to append a source that the dataset has taken in already.

    Raises:
        DatasetError: naming the source.
    """
    known = list(before)
    for one in now:
        for old in known:
            if _same(old, one):
                raise DatasetError(
                    f"{target}: the source {one.name} is in the dataset already"
                    f"{'' if old.name == one.name else f' (as {old.name})'}. Leave it out, or pass again=True to add "
                    "its rows once more."
                )


def _same(old: SourcePrint, new: SourcePrint) -> bool:
    alike = bool(old.content) and old.content == new.content
    if old.name == new.name:
        return alike or (bool(old.digest) and old.digest == new.digest)
    return alike and os.path.basename(old.name) == os.path.basename(new.name)
