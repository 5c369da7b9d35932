"""Raw text for tests: converted as it is, and with everything taken that notices and errors offer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from vaxseq.convert import convert
from vaxseq.dataset.manifest import Manifest
from vaxseq.dataset.notice import merged_options
from vaxseq.errors import VaxseqError


def written(folder: Path, content: str | bytes, name: str = "raw.csv") -> Path:
    """The content as a file."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def converted(folder: Path, content: str | bytes, name: str = "raw.csv", **options: Any) -> tuple[Manifest, pa.Table]:
    """The manifest and the rows."""
    source = written(folder, content, name)
    made = convert(source, folder / "out.arrow", progress=False, overwrite=True, resume=False, **options)
    with pa.memory_map(str(folder / "out.arrow")) as file:
        return made, pa.ipc.open_file(file).read_all()


def settled(
    folder: Path, content: str | bytes, name: str = "raw.csv", **options: Any
) -> tuple[dict[str, Any], pa.Table]:
    """The options that were offered one after another, and the rows when they have been taken."""
    taken: dict[str, Any] = {}
    for _ in range(6):
        try:
            made, table = converted(folder, content, name, **options, **taken)
        except VaxseqError as error:
            if not error.options:
                raise
            taken |= error.options
            continue
        offered = merged_options(made.notices)
        if all(taken.get(key) == value for key, value in offered.items()):
            return taken, table
        taken = merged_options_of(taken, offered)
    raise AssertionError(f"the options go on and on: {taken}")


def merged_options_of(taken: dict[str, Any], offered: dict[str, Any]) -> dict[str, Any]:
    """Both, mappings joined."""
    found = dict(taken)
    for key, value in offered.items():
        found[key] = {**found[key], **value} if key in found and isinstance(value, dict) else value
    return found
