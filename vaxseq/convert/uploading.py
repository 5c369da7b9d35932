"""Conversion to a URL: into local scratch, then uploaded fragment by fragment, the manifest last.

A fragment's name is of its run alone, so that no run writes into another's files, and the manifest is put on condition
that the one which it goes on from is still there. So readers find the old dataset or the new one, and of two runs at
once the later one looks again. A run that was stopped goes on where it was: its scratch tells what was made and sent.
"""

from __future__ import annotations

import json
import os
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from vaxseq.convert.appending import Base, joined
from vaxseq.convert.commit import empty
from vaxseq.convert.journal import Journal, key_of, locked
from vaxseq.convert.planning import Plan, key_of_work, plan_of, working_folder
from vaxseq.convert.rejects import REJECTS_SUFFIX
from vaxseq.convert.sources import fingerprint
from vaxseq.convert.stage import Stage
from vaxseq.convert.target import check_new, is_ours
from vaxseq.convert.writers import writer_for
from vaxseq.dataset import objects
from vaxseq.dataset.addresses import shown
from vaxseq.dataset.cache import cache_folder
from vaxseq.dataset.fanout import in_turn
from vaxseq.dataset.manifest import MANIFEST_NAME, Fragment, Manifest
from vaxseq.dataset.object_writes import check_writable, put_file, put_if_unchanged, remove
from vaxseq.dataset.remote_arrow import structure_of
from vaxseq.dataset.remote_file import RemoteFile
from vaxseq.dataset.remote_folder import check_folder, fragment_abouts, read_manifest
from vaxseq.dataset.url_copies import explaining, folder_name
from vaxseq.display.progress import progress_bar
from vaxseq.errors import DatasetError, OptionError, SourceNotFoundError

_ATTEMPTS = 20  # others' appends that come between
_THREADS = 4
_LEFT_S = 7 * 86400.0  # a fragment that no manifest names after so long is of a run that won't come back
_SENT = re.compile(r"part-\d{5,}-[0-9a-f]{12}\.arrow")

Convert = Callable[[Plan], Manifest]


class _There(NamedTuple):
    """The dataset at the URL, and what tells its manifest from one that comes after it."""

    manifest: Manifest
    about: objects.About


def converted_to_url(given: Mapping[str, Any], convert: Convert) -> Manifest:
    """What ``convert`` makes of the options, at the URL that is its target.

    Raises:
        OptionError: a URL that can't take a dataset.
        DatasetError: a dataset, or something else, is there already; others keep writing it.
        SourceError: the store doesn't answer, or refuses.
    """
    root = str(given["target"]).rstrip("/")
    _check_target(root)
    folder = _scratch(root)
    plan = plan_of({**given, "target": folder / "made" / root.rpartition("/")[2]})
    if plan.format != "arrow":
        raise OptionError(
            f"convert: target {shown(root)}: got target_format={plan.format!r}, which can't be read in place. Leave it "
            "out, or convert to a local disk."
        )
    for source in plan.job.sources:
        if source.path is not None and f"{source.path}/".startswith(f"{root}/"):
            raise OptionError(
                f"convert: target {shown(root)}: the source {source.name} is there, and would be lost. Choose another "
                "target."
            )
    what = f"where {shown(root)} is made before it is sent; VAXSEQ_SCRATCH names the folder."
    with explaining(plan.target, what), locked(folder, shown(root)):
        run = _Run(root, folder, plan, convert)
        for _ in range(_ATTEMPTS):
            if (manifest := run.attempt()) is not None:
                return manifest
    raise DatasetError(f"{shown(root)}: others keep writing it. Run the same conversion again when they are done.")


class _Run:
    """One conversion to a URL, with what an earlier run of it has left in its scratch."""

    def __init__(self, root: str, folder: Path, plan: Plan, convert: Convert) -> None:
        self._root, self._where, self._folder, self._plan, self._convert = root, shown(root), folder, plan, convert
        self._prints = tuple(fingerprint(source) for source in plan.job.sources)
        self._key = key_of_work(plan, self._prints)
        self._journal = Journal(folder)
        self._said: list[dict[str, Any]] = self._journal.read()
        self._begun = False

    def attempt(self) -> Manifest | None:
        """The manifest that is at the URL now; None when another run came between."""
        there = _there(self._root)
        if (done := self._finished(there)) is not None:
            return done
        try:
            self._check(there)
        except DatasetError:
            self._withdraw()
            raise
        base = self._base(there)
        made = self._made(base)
        final = self._named(made, there)
        self._send(final.fragments[len(final.fragments) - len(made.fragments) :], made)
        if final.fragments:
            fragment_abouts(self._root, final.fragments)
        self._put_rejects()
        replaced = [] if there is None else [one.path for one in there.manifest.fragments]
        self._note({"final": final.to_dict(), "replaced": replaced})
        url = f"{self._root}/{MANIFEST_NAME}"
        content = json.dumps(final.to_dict(), indent=1).encode()
        if not put_if_unchanged(url, content, None if there is None else there.about):
            return None
        self._sweep(final)
        self._clear()
        return final

    def _finished(self, there: _There | None) -> Manifest | None:
        """The dataset, if an earlier run of the same has put it there and was stopped while it cleared up."""
        note = self._of("final")
        if note is None or there is None:
            return None
        final = Manifest.from_dict(note, self._where)
        own = {one.path for one in final.fragments} & set(self._names().values())
        if not own <= {one.path for one in there.manifest.fragments} or (not own and final != there.manifest):
            return None
        same = self._begun or (self._of("key") == self._key and self._plan.resume and self._plan.restartable)
        self._sweep(there.manifest)
        self._clear()
        return there.manifest if same else None

    def _check(self, there: _There | None) -> None:
        """Refuses a folder that isn't free, or isn't ours."""
        plan = self._plan
        if there is not None and not plan.append and not plan.overwrite:
            raise DatasetError(
                f"{self._where}: the target exists already. Choose another, or replace it with overwrite=True."
            )
        if there is not None and plan.append:
            if there.manifest.format != "arrow":
                raise DatasetError(
                    f"{self._where}: a dataset of {there.manifest.format} files; append to a local copy."
                )
            if not plan.again:
                check_new(self._where, there.manifest.sources, self._prints)
            return
        strange = [one for one in _names_at(self._root) if not (is_ours(one) if there else _SENT.fullmatch(one))]
        if strange:
            raise DatasetError(
                f"{self._where}: not written: it holds {min(strange)!r}, so it isn't a dataset of vaxseq's "
                "alone. Choose another target, or move what is there away yourself."
            )

    def _base(self, there: _There | None) -> Base | None:
        """What the new rows are to go on from."""
        if there is None or not self._plan.append:
            return None
        filled = there.manifest.filled()
        words: dict[str, list[str]] = {}
        if filled:
            [about] = fragment_abouts(self._root, filled[-1:])
            last = structure_of(RemoteFile(f"{self._root}/{filled[-1].path}", about, 0))
            words = {name: one.to_pylist() for name, one in last.layout.words.items()}
        return Base(there.manifest, words)

    def _made(self, base: Base | None) -> Manifest:
        """The new rows as a local dataset: what an earlier run has made, or go on with, where it began likewise."""
        mark = None if base is None else key_of([base.manifest.schema.to_dict(), dict(base.manifest.forms), base.words])
        going_on = bool(self._said) and self._plan.resume and self._plan.restartable
        if going_on and self._of("key") != self._key and Stage.holds_rows(working_folder(self._plan.target)):
            raise DatasetError(
                f"{self._where}: an unfinished conversion is there, of other sources or options than now (a source may "
                "have changed). Start anew with resume=False."
            )
        if not (going_on or self._begun) or (self._of("key"), self._of("base")) != (self._key, mark):
            self._begin(mark)
        elif self._of("made") and (self._plan.target / MANIFEST_NAME).exists():
            return Manifest.load(self._plan.target)
        made = self._convert(replace(self._plan, append=False, overwrite=True, base=base))
        self._note({"made": True})
        return made

    def _begin(self, mark: str | None) -> None:
        """Empties the scratch; what was sent from it is forgotten by name only once it is removed."""
        if self._begun and any(isinstance(one.data, Iterator | pa.RecordBatchReader) for one in self._plan.job.sources):
            raise DatasetError(
                f"{self._where}: another run has added rows meanwhile, and batches that come once can't be read again. "
                "Pass them anew."
            )
        self._withdraw()
        self._clear()
        self._begun = True
        self._note({"key": self._key, "base": mark, "token": uuid.uuid4().hex[:12]})

    def _named(self, made: Manifest, there: _There | None) -> Manifest:
        """The manifest as it is to be: the new fragments under their names at the URL, behind those that stay."""
        before = there.manifest if there is not None and self._plan.append else None
        names = self._names()
        first = 0 if before is None else len(before.fragments)
        fragments = []
        for number, one in enumerate(made.fragments, first):
            name = names.setdefault(one.path, f"part-{number:05d}-{self._of('token')}.arrow")
            fragments.append(Fragment(name, one.rows, one.size_bytes))
        self._note({"names": names})
        final = replace(made, fragments=tuple(fragments), location=self._where)
        return final if before is None else joined(before, final, self._where)

    def _send(self, fragments: tuple[Fragment, ...], made: Manifest) -> None:
        """Sends the fragments that aren't there yet."""
        listing = _names_at(self._root)
        todo = [
            (path, f"{self._root}/{one.path}", one.size_bytes)
            for path, one in zip(made.paths(), fragments, strict=True)
            if one.path not in listing or listing[one.path].size != one.size_bytes
        ]
        title, total = f"send {self._plan.target.name}", sum(size for _, _, size in todo)
        with progress_bar(self._plan.progress, title, total, "bytes") as told, ThreadPoolExecutor(_THREADS) as pool:
            sent = in_turn(pool, put_file, ((path, url) for path, url, _ in todo), where=self._where)
            for (_, _, size), _ in zip(todo, sent, strict=True):
                told(size)

    def _put_rejects(self) -> None:
        path = self._plan.target.with_name(self._plan.target.name + REJECTS_SUFFIX)
        if path.exists():
            put_file(path, f"{self._root}{REJECTS_SUFFIX}")

    def _sweep(self, now: Manifest) -> None:
        """Removes what the new manifest has made needless, and what stopped runs have left."""
        late = time.time() - _LEFT_S
        named = {one.path for one in now.fragments}
        nameless = {name for name in _names_at(self._root) if _SENT.fullmatch(name)} - named
        left = [name for name in nameless if (objects.changed_at(f"{self._root}/{name}") or late) < late]
        remove(f"{self._root}/{one}" for one in {*self._of("replaced"), *self._names().values(), *left} - named)

    def _withdraw(self) -> None:
        """Removes what was sent and no manifest names."""
        if names := set(self._names().values()):
            there = _there(self._root)
            named = {one.path for one in there.manifest.fragments} if there is not None else set()
            remove(f"{self._root}/{one}" for one in names - named)

    def _of(self, what: str) -> Any:
        """The last that the journal says of it."""
        return next((one[what] for one in reversed(self._said) if what in one), None)

    def _names(self) -> dict[str, str]:
        return dict(self._of("names") or {})

    def _note(self, line: dict[str, Any]) -> None:
        self._said.append(line)
        self._journal.add(line)
        self._journal.sync()

    def _clear(self) -> None:
        self._journal.close()
        empty(self._folder)
        self._said = []


def _check_target(root: str) -> None:
    check_writable(root)
    check_folder(root)
    objects.file_system(root)
    if writer_for(Path(root).suffix) is not None:
        raise OptionError(
            f"convert: target {shown(root)}: got the name of one file, expected that of a folder: a dataset at a URL "
            "is a folder of fragments. Leave the suffix out."
        )


def _scratch(root: str) -> Path:
    """Where what goes to a URL is made first."""
    return Path(os.environ.get("VAXSEQ_SCRATCH") or cache_folder()) / "uploads" / folder_name(root)


def _there(root: str) -> _There | None:
    try:
        return _There(*read_manifest(root))
    except SourceNotFoundError:
        return None


def _names_at(root: str) -> dict[str, objects.About]:
    with suppress(SourceNotFoundError):
        return objects.listed(root)
    return {}
