"""What a fit is asked for, and what it gives back: plain, picklable values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from vaxseq.expressions import Expression
from vaxseq.features.transforms.base import Step


@dataclass(frozen=True, slots=True)
class Chain:
    """One feature, target or weight: where its values come from, and its steps.

    ``name`` names it in errors and in the result, as ``numeric.distance``. With ``complete``, a fit
    refuses when its last value is missing in a training row (a target that may be missing on request
    is declared with ``complete=False``). ``reads`` is what the source stands for, where messages say it.
    """

    name: str
    source: Expression
    steps: tuple[Step, ...] = ()
    complete: bool = True
    reads: str | None = None


@dataclass(frozen=True, slots=True)
class FitPlan:
    """All chains of a definition; ``columns`` are its derived columns by name, in any order."""

    chains: tuple[Chain, ...]
    columns: tuple[tuple[str, Expression], ...] = ()
    where: Expression | None = None


@dataclass(frozen=True, slots=True)
class FitResult:
    """What a fit learned: for each chain, one dict a step (empty where nothing is learned)."""

    learned: dict[str, tuple[dict[str, Any], ...]]
    rows: int
    scans: int
    missing: dict[str, int] = field(default_factory=dict)  # chain -> rows whose source value was missing

    def of(self, name: str) -> Sequence[dict[str, Any]]:
        """The learned values of one chain."""
        return self.learned[name]
