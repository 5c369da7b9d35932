"""A source with fitted features as further columns: what a fit reads when a feature is made of other features."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from vaxseq.expressions.program import ProgramBuilder
from vaxseq.expressions.values import Mask, Value
from vaxseq.features.program.compile import Derived, Learned, column_nodes, place_node
from vaxseq.features.program.resolve import Place


class FeatureSource:
    """The source's columns, and ``places`` under the names of their virtual columns."""

    def __init__(self, source: Any, derived: Derived, places: tuple[Place, ...], learned: Learned) -> None:
        self._source = source
        self._derived, self._places, self._learned = derived, places, dict(learned)
        builder = ProgramBuilder()
        names = column_nodes(derived, builder, source.names)
        self._columns = tuple(place.column for place in places)
        self._program = builder.build([place_node(builder, names, place, learned) for place in places])
        self.n_rows: int = source.n_rows
        self.names: tuple[str, ...] = (*source.names, *self._columns)

    def read(self, names: Iterable[str], start: int, stop: int) -> dict[str, Value]:
        """Rows ``start`` to ``stop`` of columns and features."""
        wanted, needed = self._split(names)
        return self._with_features(wanted, self._source.read(needed, start, stop))

    def empty(self, names: Iterable[str]) -> dict[str, Value]:
        """Zero rows of columns and features."""
        wanted, needed = self._split(names)
        return self._with_features(wanted, self._source.empty(needed))

    def filter_mask(self, start: int, stop: int) -> Mask | None:
        """The frame's own filter."""
        mask: Mask | None = self._source.filter_mask(start, stop)
        return mask

    def spec(self) -> UsedSpec:
        """For another process."""
        return UsedSpec(self._source.spec(), self._derived, self._places, self._learned)

    def _split(self, names: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        wanted = tuple(names)
        plain = [name for name in wanted if name not in self._columns]
        more = self._program.columns if len(plain) < len(wanted) else ()
        return wanted, tuple(dict.fromkeys([*plain, *more]))

    def _with_features(self, wanted: tuple[str, ...], values: dict[str, Value]) -> dict[str, Value]:
        if any(name in self._columns for name in wanted):
            values = {**values, **dict(zip(self._columns, self._program.run(values), strict=True))}
        return {name: values[name] for name in wanted}


@dataclass(frozen=True, slots=True)
class UsedSpec:
    """What opens the same columns and features elsewhere."""

    spec: Any
    derived: Derived
    places: tuple[Place, ...]
    learned: Learned

    def open(self) -> FeatureSource:
        """The source with its features."""
        return FeatureSource(self.spec.open(), self.derived, self.places, self.learned)
