"""What a person should look at, in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from vaxseq.report.drift import Drift
from vaxseq.report.exploration import Exploration
from vaxseq.report.formatting import number, share
from vaxseq.report.leaks import Alone, Shared

MOSTLY_MISSING = 0.5
RARE = 0.01


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at; ``bad`` makes scores untrue, ``warn`` may be as it should be."""

    kind: Literal["bad", "warn"]
    title: str
    text: str
    column: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"kind": self.kind, "title": self.title, "text": self.text, "column": self.column}


def findings(
    whole: Exploration,
    drifts: Sequence[Drift],
    alone: Sequence[Alone],
    shared: Sequence[Shared],
    overlaps: Sequence[tuple[str, str, str, Any, Any]],
    inputs: Sequence[str],
    targets: Sequence[str],
    groups: Sequence[str],
    meant: Mapping[str, str],
) -> list[Finding]:
    """The worst first. ``meant`` has columns whose drift the split brings by itself, and why."""
    found = []
    for one in alone:
        if one.suspicious:
            text = f"{one.feature} alone tells {one.target} with {one.measure} {one.score:.3f}. Is it known when the "
            text += "model is asked, or was it made from the answer?"
            found.append(Finding("bad", "Likely leak", text, one.feature))
    for both in shared:
        if both.suspicious:
            what = "group" if both.column in groups else "value"
            text = f"{both.column}: the same {what} lies in {both.reference} and in {both.part}; {both.words}."
            found.append(Finding("bad", "Parts that aren't apart", text, both.column))
    for column, first, second, start, stop in overlaps:
        both_have = f"both have rows from {number(start)} to {number(stop)}"
        text = f"{column}: {first} and {second} were cut by time, but {both_have}."
        found.append(Finding("bad", "Times in two parts", text, column))
    for one_drift in drifts:
        if one_drift.level != "none" and one_drift.column not in meant:
            kind: Literal["bad", "warn"] = "bad" if one_drift.level == "clear" else "warn"
            found.append(Finding(kind, "Drift", f"{one_drift.column}: {one_drift.words}.", one_drift.column))
    for name in inputs:
        summary = whole[name]
        if summary.count and summary.distinct.estimate == 1 and not summary.missing:
            found.append(Finding("warn", "Constant", f"{name} has one value only, so it tells nothing.", name))
        if summary.missing > MOSTLY_MISSING * summary.rows:
            part = share(summary.missing / summary.rows)
            found.append(Finding("warn", "Mostly missing", f"{name} is missing in {part} of the rows.", name))
        if summary.infinite:
            found.append(Finding("bad", "Infinite", f"{name} has {summary.infinite:,} infinite values.", name))
    for name in targets:
        summary = whole[name]
        if summary.bins.exact and 2 <= summary.distinct.estimate <= 20 and summary.kind != "text":
            value, count = summary.top(20)[-1]
            if count < RARE * summary.count:
                text = f"{name}: only {share(count / summary.count)} of the rows are {number(value)}."
                found.append(Finding("warn", "Rare class", text + " Look at more than accuracy, or balance.", name))
    return sorted(found, key=lambda one: one.kind != "bad")
