"""A draft as the text of a definition file, in which each line says why it is there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vaxseq.report.drafting.choice import Choice

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.]*(?: [A-Za-z0-9_.]+)*")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "nan", "inf"}


def block(name: str, dtype: str, choices: Sequence[Choice], indent: str = "  ") -> list[str]:
    """One input."""
    lines = [f"{indent}{name}:", f"{indent}  dtype: {dtype}", f"{indent}  features:"]
    for one in choices:
        lines += [f"{indent}    {comment(one.why)}", f"{indent}    - {feature(one)}"]
    return lines


def feature(one: Choice) -> str:
    """A feature as a flow mapping."""
    parts: dict[str, Any] = {}
    if one.expr is not None:
        parts = {"name": one.name or one.column, "expr": one.expr}
    else:
        parts = {"column": one.column, **({"name": one.name} if one.name else {})}
    if one.steps:
        parts["steps"] = list(one.steps)
    return flow(parts)


def flow(value: Any) -> str:
    """A value in YAML's flow style."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(key)}: {flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(one) for one in value) + "]"
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
        return value if plain else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)


def comment(text: str, width: int = 140) -> str:
    """One line of a comment: control characters, which could end it, are spaces."""
    words = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    return f"# {words if len(words) <= width else words[: width - 3] + '...'}"


def mapping(name: str, entries: Mapping[str, str], comments: Mapping[str, str]) -> list[str]:
    """A block of one-line entries, each below its comment."""
    lines = [f"{name}:"]
    for key, written in entries.items():
        lines += [f"  {comment(comments[key])}"] if comments.get(key) else []
        lines.append(f"  {key}: {written}")
    return lines


def listed(title: str, entries: Iterable[tuple[str, str]]) -> list[str]:
    """Comment lines: a title, and a name with its reason each."""
    found = list(entries)
    lines = [comment(f"{name}: {why}").replace("# ", "#   ", 1) for name, why in found]
    return [comment(title), *lines] if lines else []
