"""Hostile variants of a JSON document: its form is kept or broken, a value at a time, repeatably from a seed."""

from __future__ import annotations

import copy
import random
from typing import Any

HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3.5, -0.0, 1e308, -1e308, 2**31, 2**53, 2**63, -(2**63), 2**64, 10**30, "", "x",
    "0", "x" * 300, "\0", "../x", "/etc/passwd", "__class__", "\ud800", "\x1b[31m", "a/b", "int64", "text",
    "float64[9999999]", [], [0], [None], ["x"], [[]], [1e308] * 3, {}, {"x": 1}, {"$float": "nan"}, {"$float": "x"},
    {"$float": "inf"}, {"impute": {}}, list(range(50)), ["a"] * 50,
)  # fmt: skip
NAMES = ("x", "", "values", "$float", "y")


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in a document."""
    found = [path]
    if isinstance(value, dict):
        for key, one in value.items():
            found += places(one, (*path, key))
    elif isinstance(value, list):
        for index, one in enumerate(value[:40]):
            found += places(one, (*path, index))
    return found


def mutated(document: Any, seed: int) -> tuple[Any, str]:
    """A variant with one to three changes, and what they are."""
    chance = random.Random(seed)
    made = copy.deepcopy(document)
    said = []
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        path = chance.choice(places(made))
        if not path:
            continue
        holder = made
        for step in path[:-1]:
            holder = holder[step]
        key = path[-1]
        kind = chance.randrange(7)
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, dict):
            holder[chance.choice(NAMES)] = holder.pop(key)
        elif kind == 2 and isinstance(holder, list):
            holder.insert(chance.randrange(len(holder) + 1), copy.deepcopy(holder[key]))
        elif kind == 3 and isinstance(holder[key], (int, float)) and not isinstance(holder[key], bool):
            holder[key] = chance.choice((-holder[key], holder[key] * 1000, holder[key] + 1, str(holder[key])))
        elif kind == 4 and isinstance(holder[key], str):
            text = holder[key]
            at = chance.randrange(len(text) + 1)
            holder[key] = text[:at] + chance.choice(("\0", "*9", "é", "(", " ", "\ud800", "0")) + text[at:]
        elif kind == 5:
            other = made
            for step in chance.choice(places(made)):
                other = other[step]
            holder[key] = copy.deepcopy(other)
        else:
            holder[key] = copy.deepcopy(chance.choice(HOSTILE))
        said.append(f"{'.'.join(map(str, path))} by {kind}")
    return made, "; ".join(said)
