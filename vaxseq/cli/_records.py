"""Records that come as JSON, and tables that go out as a page."""

from __future__ import annotations

import sys
from json import JSONDecodeError, loads
from pathlib import Path
from typing import Any

from vaxseq.display.text_file import write_text
from vaxseq.errors import OptionError, SourceError


def read_records(given: str) -> Any:
    """A JSON object, or a list of them: the text itself, a file that holds it, or standard input."""
    text = given
    if given == "-":
        text = sys.stdin.read()
    elif not given.lstrip().startswith(("{", "[")):
        try:
            text = Path(given).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            remedy = "Give a JSON object, as '{\"distance\": 1400}', or a file that holds one"
            raise SourceError(f"{given}: can't be read; {error}. {remedy}") from error
    try:
        found = loads(text)
    except (JSONDecodeError, RecursionError) as error:
        raise OptionError(f"record: not JSON; {error}. Quote the whole with ', and names and texts with \"") from error
    if not isinstance(found, dict | list):
        what = f"got {type(found).__name__}, expected an object of names and values, or a list of them"
        raise OptionError(f"record: {what}")
    return found


def write_page(path: Path, shown: Any) -> None:
    """A table as an HTML page that needs nothing else."""
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>vaxseq</title>'
    style = "<style>body{font-family:system-ui,sans-serif;margin:2em}</style>"
    page = f"{head}{style}<body>{shown._repr_html_()}</body></html>\n"
    write_text(path, page, what="a page of vaxseq's", mark=b"<title>vaxseq</title>")
