"""What a dataset is made of: its fragments in order, their rows, its schema and where it came from."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import ValidationError

from vaxseq.dataset.manifest_schema import ManifestForm, checksum_of
from vaxseq.dataset.notice import Notice
from vaxseq.dataset.schema import Schema
from vaxseq.display.html import Heading
from vaxseq.display.tables import Display, Shown
from vaxseq.errors import DatasetError, SourceNotFoundError

MANIFEST_NAME = "manifest.json"
MANIFEST_KEY = "vaxseq.dataset.manifest"  # in a single file's Arrow schema metadata, or an attribute of HDF5's root
_VERSION = 1
MAX_MANIFEST_BYTES = 1 << 28


@dataclass(frozen=True, slots=True)
class Fragment:
    """One file of a dataset. ``path`` is relative to the dataset's folder."""

    path: str
    rows: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class SourcePrint:
    """What a source was when it was read.

    ``digest`` covers its size, its time of change, its first and its last bytes; ``content`` what a copy has as well.
    """

    name: str
    size_bytes: int
    digest: str
    content: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Manifest(Shown):
    """A dataset: fragments in order, so that a row's id is its position in their concatenation."""

    schema: Schema
    n_rows: int
    fragments: tuple[Fragment, ...]
    format: str
    sources: tuple[SourcePrint, ...] = ()
    rejected_rows: int = 0
    dropped_rows: int = 0
    notices: tuple[Notice, ...] = ()
    forms: Mapping[str, str] = field(default_factory=dict)  # how text columns were written, by name
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # of columns of numbers: least, greatest
    location: str = field(default="", compare=False)

    def _display(self) -> Display:
        said = f"{self.n_rows:,} rows, {len(self.schema.columns)} columns, {len(self.fragments)} {self.format} file"
        said += "" if len(self.fragments) == 1 else "s"
        lost = [(self.rejected_rows, "rejected"), (self.dropped_rows, "dropped")]
        said += "".join(f", {rows:,} {what}" for rows, what in lost if rows)
        headings = (Heading("column"), Heading("type", "code"), Heading("unit"), Heading("description", "quiet"))
        rows = [
            (
                one.name,
                f"{one.type}" if one.nullable else f"{one.type}, never missing",
                one.unit or "",
                one.description or "",
            )
            for one in self.schema.columns
        ]
        return Display(said, headings, tuple(rows), tuple(f"notice: {one}" for one in self.notices))

    def filled(self) -> list[Fragment]:
        """The fragments that have rows."""
        return [one for one in self.fragments if one.rows]

    def paths(self) -> list[Path]:
        """The fragments' paths, ready to open."""
        root = Path(self.location)
        return [root / one.path for one in self.fragments] if root.is_dir() else [root]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        raw: dict[str, Any] = {
            "version": _VERSION, "format": self.format, "n_rows": self.n_rows, "rejected_rows": self.rejected_rows,
            "dropped_rows": self.dropped_rows, "schema": self.schema.to_dict(),
            "fragments": [asdict(one) for one in self.fragments], "sources": [asdict(one) for one in self.sources],
        }  # fmt: skip
        if self.notices:
            raw["notices"] = [one.to_dict() for one in self.notices]
        if self.forms:
            raw["forms"] = dict(self.forms)
        if self.ranges:
            raw["ranges"] = {name: list(both) for name, both in self.ranges.items()}
        return {**raw, "checksum": checksum_of(raw)}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any], location: str) -> Manifest:
        """The Manifest in ``raw``.

        Raises:
            DatasetError: damaged, or of a version that this one can't read.
        """
        if not isinstance(raw, Mapping) or raw.get("version") != _VERSION:
            got = raw.get("version") if isinstance(raw, Mapping) else type(raw).__name__
            raise DatasetError(
                f"{location}: manifest version; got {got!r:.80}, expected {_VERSION}. Convert the dataset again."
            )
        try:
            said = ManifestForm.model_validate(dict(raw))
            schema = Schema.from_dict(raw["schema"], f"{location} manifest")
        except ValidationError as error:
            first = error.errors()[0]
            at = ".".join(str(part) for part in first["loc"])
            raise DatasetError(
                f"{location}: the manifest is damaged: {at or 'whole'}: {first['msg']}. Convert the dataset again."
            ) from error
        except (TypeError, ValueError) as error:
            raise DatasetError(f"{location}: the manifest is damaged ({error}). Convert the dataset again.") from error
        if sum(one.rows for one in said.fragments) != said.n_rows:
            raise DatasetError(
                f"{location}: the manifest's fragments don't add up to {said.n_rows} rows. Convert it again."
            )
        if said.checksum and said.checksum != checksum_of({key: raw[key] for key in raw if key != "checksum"}):
            raise DatasetError(
                f"{location}: the manifest was changed after it was written: its checksum differs. Convert the dataset "
                "again."
            )
        return cls(
            schema, said.n_rows, tuple(Fragment(one.path, one.rows, one.size_bytes) for one in said.fragments),
            said.format,
            tuple(SourcePrint(one.name, one.size_bytes, one.digest, one.content) for one in said.sources),
            said.rejected_rows, said.dropped_rows, tuple(Notice.from_dict(one.model_dump()) for one in said.notices),
            said.forms, {name: (low, high) for name, (low, high) in said.ranges.items()}, location,
        )  # fmt: skip

    def check_files(self) -> None:
        """Refuses a folder whose fragments aren't all there, in their size, and inside of it.

        Raises:
            DatasetError: naming the fragment.
        """
        root = Path(self.location)
        if not root.is_dir():
            return
        real = os.path.realpath(root)
        for one in self.fragments:
            path = root / one.path
            try:
                about = path.stat()
            except OSError as error:
                raise DatasetError(
                    f"{root}: fragment {one.path!r} of its manifest isn't there ({error.strerror}). Convert again."
                ) from error
            if path.is_symlink() and not os.path.realpath(path).startswith(real + os.sep):
                raise DatasetError(
                    f"{root}: fragment {one.path!r} is a link that leads out of the dataset. Put a copy of the file "
                    "in its place."
                )
            if not stat.S_ISREG(about.st_mode):
                raise DatasetError(f"{root}: fragment {one.path!r} is no file. Convert again.")
            if about.st_size != one.size_bytes:
                raise DatasetError(
                    f"{root}: fragment {one.path!r} has {about.st_size:,} bytes, expected {one.size_bytes:,} as in the "
                    "manifest. It was cut short or changed; convert again."
                )

    @classmethod
    def load(cls, path: str | Path) -> Manifest:
        """The manifest of a dataset: a folder, an ``.arrow`` file or an ``.hdf5`` file that ``convert`` wrote.

        Raises:
            SourceNotFoundError: nothing at ``path``.
            DatasetError: no manifest there, or a damaged one.
        """
        path = Path(path)
        where = str(path)
        if not path.exists():
            raise SourceNotFoundError(f"{where}: no such dataset. Check the path.")
        try:
            if path.is_dir():
                text: str | bytes | None = _bounded(path / MANIFEST_NAME)
            elif path.suffix in (".hdf5", ".h5"):
                text = _from_hdf5(path)
            else:
                with pa.OSFile(where) as source:
                    text = (pa.ipc.open_file(source).schema.metadata or {}).get(MANIFEST_KEY.encode())
            raw = None if text is None else json.loads(text)
        except (OSError, ValueError, RecursionError, KeyError, RuntimeError, OverflowError) as error:
            if isinstance(error, DatasetError):
                raise
            raise DatasetError(f"{where}: can't read the manifest: {error}. Convert the dataset again.") from error
        if raw is None:
            raise DatasetError(f"{where}: has no vaxseq manifest. Make a dataset of it with vaxseq.convert.")
        manifest = cls.from_dict(raw, where)
        if path.is_dir():
            return manifest
        alone = Fragment(
            path.name, manifest.n_rows, path.stat().st_size
        )  # a file can't hold its own size, and may be renamed
        return replace(manifest, fragments=(alone,))

    def save(self, folder: str | Path) -> None:
        """Writes ``manifest.json`` atomically."""
        write_atomically(Path(folder) / MANIFEST_NAME, json.dumps(self.to_dict(), indent=1).encode())


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a small file so that a reader sees the old one or the new one, whatever happens."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with open(draft, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes a rename in ``folder`` last through a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _bounded(path: Path) -> bytes | None:
    """The content of a manifest's file; one that couldn't be a manifest isn't read."""
    if not path.exists():
        return None
    about = path.stat()
    if not stat.S_ISREG(about.st_mode) or about.st_size > MAX_MANIFEST_BYTES:
        raise DatasetError(
            f"{path}: got {about.st_size:,} bytes, expected a manifest, a file of {MAX_MANIFEST_BYTES:,} bytes at most."
        )
    return path.read_bytes()


def _from_hdf5(path: Path) -> str | None:
    import h5py  # only HDF5 datasets need it

    with h5py.File(path, "r") as file:
        text = file.attrs.get(MANIFEST_KEY)
        return None if text is None else str(text)
