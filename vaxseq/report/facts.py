"""Explorations of the whole and of its parts as the page needs them: plain values for each column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vaxseq.report.column import ColumnSummary
from vaxseq.report.drift import Drift
from vaxseq.report.exploration import Exploration
from vaxseq.report.formatting import number, share
from vaxseq.report.leaks import Alone, Shared

_BINS = 48
_TOPS = 8
_TICKS = 5
_TIME_TICKS = 3
_SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)


def column_facts(
    name: str,
    whole: Exploration,
    parts: Mapping[str, Exploration],
    *,
    role: str,
    note: str,
    drifts: Sequence[Drift],
    alone: Sequence[Alone],
    shared: Sequence[Shared],
    look: bool,
) -> dict[str, Any]:
    """One column: what the table shows, and what its detail shows."""
    one = whole[name]
    here = [explored[name] for explored in parts.values()]
    words = [f"{role.capitalize()}, {one.type}{f' in {one.unit}' if one.unit else ''}. {note}".strip()]
    words += [
        f"Alone it tells {told.target} with {told.measure} {told.score:.3f} on rows that it wasn't learned from."
        for told in alone
        if told.feature == name
    ]
    for moved in drifts:
        if moved.column == name and (moved.psi is not None or moved.ks is not None):
            figures = [f"PSI {moved.psi:.3f}"] if moved.psi is not None else []
            figures += [f"KS distance {moved.ks:.3f}"] if moved.ks is not None else []
            verdict = {"none": "much as in the reference", "some": "somewhat otherwise", "clear": "clearly otherwise"}
            words.append(f"{moved.part}: {verdict[moved.level]} ({', '.join(figures)}).")
    words += [f"{both.words}." for both in shared if both.column == name]
    words += [f"No rows between {number(start)} and {number(stop)}." for start, stop in one.gaps()]
    psi = max((moved.psi for moved in drifts if moved.column == name and moved.psi is not None), default=None)
    facts: dict[str, Any] = {
        "name": name,
        "role": role,
        "type": one.type,
        "unit": one.unit,
        "missing": one.missing / max(1, one.rows),
        "distinct": one.distinct.estimate,
        "about": not one.distinct.exact,
        "mean": one.mean,
        "psi": psi,
        "alone": max((told.score for told in alone if told.feature == name), default=None),
        "look": look,
        "words": words,
        "counts": None,
        "ticks": [],
        "outside": 0,
        "tops": _tops(one, here),
        "numbers": _numbers(here),
    }
    if one.kind != "text" and one.count:
        edges = one.edges(_BINS)
        facts["counts"] = [np.round(part.bins.histogram(edges)).astype(int).tolist() for part in here]
        facts["spark"] = np.round(one.bins.histogram(edges)).astype(int).tolist()
        facts["outside"] = max(0, one.count - sum(facts["spark"]))
        places = np.linspace(edges[0], edges[-1], _TIME_TICKS if one.is_time else _TICKS)
        facts["ticks"] = [_tick(one, value) for value in places]
    else:
        facts["spark"] = [count for _, count in one.top(_BINS)]
    return facts


def _tick(one: ColumnSummary, value: float) -> str:
    if one.is_time:
        return number(one.moment(value))
    return f"{value:,.0f}" if one.kind in ("int", "bool") and not one.shape else f"{value:,.4g}"


def _tops(one: ColumnSummary, here: Sequence[ColumnSummary]) -> list[dict[str, Any]]:
    top = one.top(_TOPS)
    if one.kind != "text" and one.distinct.estimate > 2 * _TOPS:
        return []
    found = [dict(part.top(10_000)) for part in here]
    return [
        {
            "value": number(value) or "(empty text)",
            "shares": [
                counts.get(value, 0) / max(1, part.count) for counts, part in zip(found, here, strict=True)
            ],
        }
        for value, _ in top
    ]  # fmt: skip


def _numbers(here: Sequence[ColumnSummary]) -> list[list[str]]:
    lines = [
        ["rows", *[f"{one.rows:,}" for one in here]],
        ["missing", *[f"{one.missing:,} ({share(one.missing / max(1, one.rows))})" for one in here]],
        ["distinct", *[("" if one.distinct.exact else "≈ ") + f"{one.distinct.estimate:,}" for one in here]],
    ]
    if any(one.infinite for one in here):
        lines.append(["infinite", *[f"{one.infinite:,}" for one in here]])
    if here[0].kind == "text":
        return lines
    lines.append(["least", *[number(one.moment(one.min)) for one in here]])
    for place, wanted in enumerate(_SHARES):
        title = "median" if wanted == 0.5 else f"{wanted:.0%}".replace("%", " %")
        found = [one.quantiles(_SHARES)[place] if one.count else float("nan") for one in here]
        lines.append([title, *[number(one.moment(float(value))) for one, value in zip(here, found, strict=True)]])
    lines.append(["greatest", *[number(one.moment(one.max)) for one in here]])
    if not here[0].is_time:
        lines.append(["mean", *[number(one.mean) for one in here]])
        lines.append(["standard deviation", *[number(one.std) for one in here]])
    return lines
