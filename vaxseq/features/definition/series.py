"""Which rows follow one another, as steps that look back need to know it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Series:
    """Which rows follow one another: those of one group, in order; a gap larger than ``max_gap`` begins a new one."""

    group_by: tuple[str, ...] = ()
    order_by: str | None = None
    max_gap: str | int | float | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that say it."""
        return (*self.group_by, *([self.order_by] if self.order_by is not None else ()))
