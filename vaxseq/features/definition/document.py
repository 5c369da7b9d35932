"""A YAML text as plain values with the line of each: YAML 1.2's plain core and nothing that can surprise.

Read from the parser's events, so that nothing is ever constructed: no tags, no anchors and aliases (they
share nodes, and bombs are made of them), no merge keys, no second document. Plain scalars follow the core
schema of YAML 1.2: ``no``, ``on``, ``12:30`` and ``2014-01-01`` are text, ``1e3`` is a number, and ``010``,
which versions of YAML read differently, is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str | int, ...]

MAX_BYTES = 1_000_000
MAX_DEPTH = 20
MAX_NODES = 100_000
_TOO_DEEP = f"nested too deeply; expected at most {MAX_DEPTH} levels"

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"([-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a definition, and where: a path into the file, or a line when there is none."""

    path: Path
    what: str
    line: int | None = None


@dataclass(slots=True)
class Document:
    """What a text holds; ``lines`` has the line (from 1) of every path."""

    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    text: str | None = None

    def line(self, path: Path) -> int | None:
        """The line of a path, or of the nearest thing around it."""
        while path not in self.lines:
            if not path:
                return None
            path = path[:-1]
        return self.lines[path]


def read_yaml(text: str) -> Document:
    """The text's values, lines and problems; with a syntax error or a refused construct, ``data`` may be None."""
    document = Document(text=text)
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        document.problems.append(Problem((), f"the file is too long; expected at most {MAX_BYTES:,} bytes", 1))
        return document
    try:
        _Reader(document, yaml.parse(text, Loader=_LOADER)).read()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = ": ".join(part for part in (error.context, error.problem) if part)
        hint = _syntax_hint(text, mark.line if mark else None)
        line = mark.line + 1 if mark else None
        what = f"not valid YAML: {reason}.{hint}"
        if "nesting depth" in (error.problem or ""):  # newer libyaml counts levels itself, before we do
            what = _TOO_DEEP
        document.problems.append(Problem((), what, line))
        document.data = None
    except (yaml.YAMLError, UnicodeError) as error:
        document.problems.append(Problem((), f"not valid YAML: {' '.join(str(error).split())}"))
        document.data = None
    except _StopReading:
        document.data = None
    return document


class _StopReading(Exception):  # noqa: N818  leaves the walk; its problem is in the document by then
    pass


class _Reader:
    def __init__(self, document: Document, events: Iterator[Any]) -> None:
        self._document = document
        self._events = events
        self._nodes = 0

    def read(self) -> None:
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._stop((), "the file holds a second document ('---'); expected one", event)
                event = next(self._events)
                if not isinstance(event, yaml.DocumentEndEvent):
                    self._document.data = self._node(event, (), 0)

    def _node(self, event: Any, path: Path, depth: int) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._stop(path, f"the file holds too much; expected at most {MAX_NODES:,} values", event)
        if depth > MAX_DEPTH:
            self._stop(path, _TOO_DEEP, event)
        self._document.lines.setdefault(path, event.start_mark.line + 1)
        if isinstance(event, yaml.AliasEvent):
            self._problem(path, f"an alias (*{event.anchor}) isn't allowed. Quote a text that begins with '*'", event)
            return None
        if event.anchor is not None:
            self._problem(path, f"an anchor (&{event.anchor}) isn't allowed. Quote a text that begins with '&'", event)
        if event.tag is not None:
            self._problem(path, f"a tag ({event.tag}) isn't allowed. Quote a text that begins with '!'", event)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, path)
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Any] = []
            while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
                items.append(self._node(event, (*path, len(items)), depth + 1))
            return items
        return self._mapping(path, depth)

    def _mapping(self, path: Path, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event, path, depth)
            if key in result:
                first = self._document.lines[(*path, key)]
                self._problem((*path, key), f"the key {key!r} stands here a second time; first in line {first}", event)
            else:
                self._document.lines[(*path, key)] = event.start_mark.line + 1
            value = self._node(next(self._events), (*path, key), depth + 1)
            result.setdefault(key, value)
        return result

    def _key(self, event: Any, path: Path, depth: int) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            self._stop(path, "a key must be a plain name, not a list, a mapping or an alias", event)
        if event.anchor is not None or event.tag is not None:
            self._problem(path, f"the key {event.value!r} has an anchor or a tag; expected a plain name", event)
        if event.value == "<<" and event.implicit[0]:
            self._problem(path, "a merge key (<<) isn't allowed. Write the keys out", event)
        return str(event.value)

    def _scalar(self, event: Any, path: Path) -> Any:
        text = event.value
        if not event.implicit[0]:  # quoted, or a block of text
            return text
        if text in _NULL:
            return None
        if text in _BOOL:
            return _BOOL[text]
        digits = text.lstrip("+-")
        if _INT.fullmatch(text):
            if len(digits) > 1 and digits[0] == "0":
                self._problem(
                    path,
                    f"{text} begins with a zero, which versions of YAML read differently. "
                    f"Write {digits.lstrip('0') or '0'}, or quote it",
                    event,
                )
                return None
            if len(digits) > 30:
                self._problem(path, f"a number of {len(digits)} digits; expected at most 30", event)
                return None
            return int(text)
        if _BASED.fullmatch(text) and len(text) <= 20:
            return int(text, 0)
        if _FLOAT.fullmatch(text) and len(text) <= 400:
            return self._float(float(text), path, event)
        if special := _SPECIAL.fullmatch(text):
            return math.nan if special[3] else float(special[1] + "inf")
        return text

    def _float(self, number: float, path: Path, event: Any) -> float | None:
        if math.isinf(number):
            self._problem(path, f"{event.value} is beyond what a float64 holds; write .inf if you mean it", event)
            return None
        return number

    def _problem(self, path: Path, what: str, event: Any) -> None:
        self._document.problems.append(Problem(path, what, event.start_mark.line + 1))

    def _stop(self, path: Path, what: str, event: Any) -> None:
        self._problem(path, what, event)
        raise _StopReading


def _syntax_hint(text: str, index: int | None) -> str:
    """A remedy for the two mistakes that expressions invite."""
    lines = text.splitlines()
    line = lines[index].strip() if index is not None and index < len(lines) else ""
    if "\t" in line or (index is not None and index < len(lines) and lines[index].startswith("\t")):
        return " Indent with spaces, not tabs."
    if any(sign in line for sign in ("%", "@", "`", ": ", "!", "*", "&", "{", "[")):
        return " Quote an expression that holds one of : # { } [ ] , & * ! | > % @ `."
    return ""


def show_path(path: Path) -> str:
    """A path as a person writes it: ``inputs.numeric.features[2].steps[0]``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
