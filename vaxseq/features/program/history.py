"""A column of the past: what it is made of, plain and picklable; its name is a digest of all that."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vaxseq.expressions import Expression
from vaxseq.features.definition.series import Series
from vaxseq.features.transforms.history import LookBack

PREFIX = "__history_"  # hidden by vaex's rule for names
_CODE_VERSION = 1  # of the numbers: files made by another version aren't read


@dataclass(frozen=True, slots=True)
class History:
    """An expression and the steps that look back at it; ``derived`` are the derived columns that all this needs."""

    source: Expression
    steps: tuple[LookBack, ...]
    series: Series
    derived: tuple[tuple[str, Expression], ...] = ()

    @property
    def column(self) -> str:
        """The name of its column in a frame, the same for the same meaning."""
        meaning = [
            _CODE_VERSION,
            self.source.text,
            [[step.name, step.model_dump_json()] for step in self.steps],
            [self.series.group_by, self.series.order_by, self.series.max_gap],
            sorted((name, expression.text) for name, expression in self.derived),
        ]
        return PREFIX + hashlib.blake2b(json.dumps(meaning).encode(), digest_size=12).hexdigest()

    @property
    def reads(self) -> tuple[str, ...]:
        """The data's own columns that it needs."""
        derived = dict(self.derived)
        names = [*sorted(self.source.names), *self.series.columns]
        names += [name for one in derived.values() for name in sorted(one.names)]
        return tuple(dict.fromkeys(name for name in names if name not in derived))


def history_of(
    source: Expression, steps: tuple[LookBack, ...], series: Series, derived: Mapping[str, Expression]
) -> History:
    """The History with just the derived columns that it needs, each after those that it needs itself."""
    needed: set[str] = set()
    stack = [*source.names, *series.columns]
    while stack:
        name = stack.pop()
        if name in derived and name not in needed:
            needed.add(name)
            stack.extend(derived[name].names)
    return History(source, steps, series, tuple((name, one) for name, one in derived.items() if name in needed))


def distinct(histories: Iterable[History]) -> tuple[History, ...]:
    """Each column once."""
    return tuple({one.column: one for one in histories}.values())
