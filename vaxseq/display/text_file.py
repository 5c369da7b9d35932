"""Small files that are written for the user: whole or not at all, and never in the place of another kind of file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from vaxseq.errors import SourceError

_HEAD_BYTES = 4096


def write_text(path: str | os.PathLike[str], text: str, *, what: str, mark: bytes | None) -> None:
    """Writes a text file whole or not at all. See `check_kind` for what may be there.

    Raises:
        SourceError: another kind of file is there, or it can't be written.
    """
    file = Path(path)
    check_kind(file, what, mark)
    try:
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.", suffix=".part")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise SourceError(f"{file}: can't be written; {error.strerror or error}") from error


def check_kind(file: Path, what: str, mark: bytes | None) -> None:
    """Refuses a place where another kind of file is: one without ``mark`` at its beginning, or (None) that isn't text.

    Raises:
        SourceError: naming it. ``what`` says what it isn't, as "a state file".
    """
    if not os.path.lexists(file) or (file.is_symlink() and not file.exists()):
        return
    if not file.is_file():
        raise SourceError(f"{file}: not replaced: it is no file. Name another one.")
    with open(file, "rb") as stream:
        head = stream.read(_HEAD_BYTES)
    if head and not (_is_text(head) if mark is None else mark in head):
        raise SourceError(f"{file}: not replaced: it isn't {what}. Name another file, or remove it yourself.")


def _is_text(head: bytes) -> bool:
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4 and b"\0" not in head  # a character that the first look cuts
    return b"\0" not in head
