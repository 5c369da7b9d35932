"""Columns of the past checked on zero rows: what can't be looked back at, found before a row is read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vaxseq.errors import VaxseqError
from vaxseq.expressions.values import Value
from vaxseq.features.definition.document import Problem
from vaxseq.features.history.run import HistoryRun
from vaxseq.features.program.resolve import Group, Place

TYPE_NAME = "float64"  # of every column of the past


def past_problems(groups: Sequence[Group], empty: dict[str, Value]) -> list[Problem]:
    """What is wrong with the groups' columns of the past; zero rows of those that are right are put into ``empty``."""
    problems: list[Problem] = []
    for place in _all_places(groups):
        history = place.history
        if history is None or history.column in empty or not all(name in empty for name in history.reads):
            continue
        try:
            HistoryRun([history]).check(empty)
        except VaxseqError as error:
            problems.append(Problem(place.path, f"{place.name}: {error}"))
        else:
            empty[history.column] = Value(np.empty(0, TYPE_NAME))
    return problems


def _all_places(groups: Sequence[Group]) -> list[Place]:
    found: list[Place] = []
    stack = [place for group in groups for place in group.places]
    while stack:
        found.append(stack.pop(0))
        stack.extend(found[-1].uses)
    return found
