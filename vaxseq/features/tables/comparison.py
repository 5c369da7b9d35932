"""What changed between two fits, in numbers that a person can judge; and between two definitions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vaxseq.display.html import Heading, Row
from vaxseq.display.tables import Display
from vaxseq.errors import OptionError
from vaxseq.features.definition.definition import Definition
from vaxseq.features.learning.fitted import Fitted
from vaxseq.features.program.resolve import Place
from vaxseq.features.tables.summary import declared, reads, show_step, show_value

_HEADINGS = (
    Heading("feature"),
    Heading("what"),
    Heading("before", "number"),
    Heading("after", "number"),
    Heading("change", "text"),
    Heading("look at", "warning"),
)
_SPREADS = 0.25  # of its spread, by which a centre may move
_RATIO = 1.25  # by which a spread may change
_MISSING = 0.02
_PSI = 0.1  # below it is usually called no shift, above 0.25 a clear one


class Change(NamedTuple):
    """One line: what changed, from what to what, how far in words, and why it is to look at."""

    what: str
    before: str
    after: str
    change: str = ""
    look: str = ""


def fits_compared(before: Fitted, after: Fitted) -> Display:
    """See `FittedFeatures.diff`."""
    if not isinstance(after, Fitted):
        raise OptionError(f"diff: got {type(after).__name__}, expected fitted features. Load them first")
    old, new = _places(before), _places(after)
    rows: list[Row] = []
    data: dict[str, Any] = {}
    head = [
        Change("rows", f"{before.state.rows:,}", f"{after.state.rows:,}", _ratio(before.state.rows, after.state.rows))
    ]
    if before.state.where != after.state.where:
        head.append(Change("where", before.state.where or "all", after.state.where or "all"))
    same_data = before.state.data_fingerprint == after.state.data_fingerprint
    head.append(Change("data", "", "", "the same" if same_data else "other data"))
    _add(rows, data, "the fit", head)
    for key in dict.fromkeys([*old, *new]):
        if key not in new or key not in old:
            what = "is gone" if key not in new else "is new"
            _add(rows, data, key, [Change("the feature", "", "", what, "definition")])
            continue
        _add(rows, data, key, list(_changes(before, after, old[key], new[key])))
    looks = sum(1 for one in data.values() for change in one if change["look"])
    note = f"{looks} to look at" if looks else "nothing moved far"
    return Display("", _HEADINGS, tuple(rows), (note,), data)


def definitions_compared(before: Definition, after: Definition) -> Display:
    """See `FeatureSet.diff`."""
    if not isinstance(after, Definition):
        raise OptionError(f"diff: got {type(after).__name__}, expected a feature set. Load it first")
    headings = (Heading("what"), Heading("before", "code"), Heading("after", "code"))
    old, new = dict(_lines(before)), dict(_lines(after))
    rows = [
        (key, old.get(key, ""), new.get(key, "")) for key in dict.fromkeys([*old, *new]) if old.get(key) != new.get(key)
    ]
    data = {key: {"before": a or None, "after": b or None} for key, a, b in rows}
    note = f"{len(rows)} changes" if rows else "they mean the same"
    if rows and before.fingerprint == after.fingerprint:
        note += ", of notes alone"
    return Display("", headings, tuple(rows), (note,), data)


def _lines(definition: Definition) -> Iterator[tuple[str, str]]:
    """Each thing declared, by its name."""
    for name, column in definition.columns.items():
        yield f"columns.{name}", column.expr.text
    for name, block in definition.inputs.items():
        yield f"inputs.{name}.dtype", block.dtype
        for feature in block.features:
            named, source, steps, notes = declared(feature)
            key = f"inputs.{name}.{named or source}"
            yield key, " → ".join(one for one in (source, steps) if one)
            yield f"{key}.notes", notes
    for name, target in definition.targets.items():
        _, source, steps, notes = declared(target)
        yield f"targets.{name}", f"{source} → {steps} ({target.storage})"
        yield f"targets.{name}.notes", notes
    plain = definition.to_dict()
    for key in ("weights", "series", "window"):
        for option, value in (plain.get(key) or {}).items():
            yield f"{key}.{option}", str(value)


def _places(fitted: Fitted) -> dict[str, Place]:
    return {place.key: place for group in fitted.groups for place in group.places}


def _add(rows: list[Row], data: dict[str, Any], key: str, changes: Sequence[Change]) -> None:
    if not changes:
        return
    rows += [(key if number == 0 else "", *change) for number, change in enumerate(changes)]
    data[key] = [change._asdict() for change in changes]


def _changes(before: Fitted, after: Fitted, old: Place, new: Place) -> Iterator[Change]:
    if reads(old) != reads(new):
        yield Change("reads", reads(old), reads(new), "", "definition")
    shown = [", ".join(show_step(step) for step in place.all_steps) for place in (old, new)]
    if shown[0] != shown[1]:
        yield Change("steps", shown[0], shown[1], "", "definition")
    shares = [fitted.state.missing.get(old.key, 0) / fitted.state.rows for fitted in (before, after)]
    if shares[0] != shares[1]:
        far = abs(shares[1] - shares[0]) >= _MISSING
        change, look = f"{100 * (shares[1] - shares[0]):+.2g} points", "other rows are missing" if far else ""
        yield Change("missing", f"{shares[0]:.2%}", f"{shares[1]:.2%}", change, look)
    learned = [fitted.state.learned[old.key] for fitted in (before, after)]
    for number, step in enumerate(old.steps):
        if number < len(new.steps) and new.steps[number] == step:
            for one in _learned(learned[0][number], learned[1][number]):
                yield one._replace(what=f"{step.name} {one.what}")


def _learned(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    if "values" in old and "counts" in old:
        yield from _vocabulary(old, new)
        return
    spread = _spread(old)
    for name in old:
        a, b = old[name], new.get(name, ())
        if a == b:
            continue
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            yield from _learned(a, b)
        elif _is_number(a) and _is_number(b):
            yield _number(name, float(a), float(b), spread)
        else:
            yield _listed(name, a, b, spread)


def _number(name: str, a: float, b: float, spread: float | None) -> Change:
    shown = (f"{a:.6g}", f"{b:.6g}")
    if name in ("std", "max_abs"):
        ratio = b / a if a else math.inf
        far = not 1 / _RATIO <= ratio <= _RATIO
        return Change(name, *shown, f"× {ratio:.3g}", "the spread changed" if far else "")
    if spread:
        moved = (b - a) / spread
        return Change(name, *shown, f"{moved:+.2g} spreads", "it moved" if abs(moved) >= _SPREADS else "")
    far = abs(b - a) > (_RATIO - 1) * max(abs(a), abs(b))
    return Change(name, *shown, _ratio(a, b), "it moved" if far else "")


def _listed(name: str, a: Any, b: Any, spread: float | None) -> Change:
    """Lists of numbers, by the one that moved furthest."""
    shown = (show_value(a), show_value(b))
    try:
        first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    except (TypeError, ValueError):
        return Change(name, *shown)
    if first.shape != second.shape or not first.size:
        return Change(name, *shown, f"{first.shape} to {second.shape}", "its shape changed")
    width = spread or float(np.ptp(first)) or float(np.abs(first).max()) or 1.0
    moved = float(np.abs(second - first).max()) / width
    return Change(name, *shown, f"up to {moved:.2g} spreads", "it moved" if moved >= _SPREADS else "")


def _vocabulary(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    """Values that came and went, and how far the shares of those in both moved: the population stability index."""
    first = dict(zip(old["values"], old["counts"], strict=True))
    second = dict(zip(new["values"], new["counts"], strict=True))
    came, went = [one for one in second if one not in first], [one for one in first if one not in second]
    totals = [max(1, sum(one.values())) for one in (first, second)]
    if came or went:
        words = [f"{len(one)} {verb}: {show_value(one)}" for one, verb in ((came, "new"), (went, "gone")) if one]
        share = sum(second[one] for one in came) / totals[1]
        look = f"{share:.1%} of the rows have a new value" if share >= _MISSING else ""
        yield Change("values", f"{len(first):,}", f"{len(second):,}", "; ".join(words), look)
    if list(first) != list(second) and not _same_codes(first, second):
        yield Change("order", "", "", "codes stand for other values", "a model of the old fit can't use the new one")
    psi = _psi(first, second, totals)
    if psi > 0:
        yield Change("shares", "", "", f"PSI {psi:.3f}", "the shares moved" if psi >= _PSI else "")


def _same_codes(first: Mapping[Any, int], second: Mapping[Any, int]) -> bool:
    """Whether each value that both have has the same place in both, so that its code is the same."""
    places = {value: place for place, value in enumerate(first)}
    return all(places.get(value, place) == place for place, value in enumerate(second))


def _psi(first: Mapping[Any, int], second: Mapping[Any, int], totals: Sequence[int]) -> float:
    found = 0.0
    for value in dict.fromkeys([*first, *second]):
        a = (first.get(value, 0) + 0.5) / (totals[0] + 0.5)
        b = (second.get(value, 0) + 0.5) / (totals[1] + 0.5)
        found += (b - a) * math.log(b / a)
    return found if dict(first) != dict(second) else 0.0


def _spread(learned: Mapping[str, Any]) -> float | None:
    """What a move is measured by: a standard deviation, or a range."""
    if _is_number(learned.get("std")):
        return float(learned["std"]) or None
    for low, high in (("lower", "upper"), ("min", "max")):
        if _is_number(learned.get(low)) and _is_number(learned.get(high)):
            return float(learned[high]) - float(learned[low]) or None
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _ratio(a: float, b: float) -> str:
    if a == b:
        return "the same"
    return f"{100 * (b - a) / abs(a):+.3g} %" if a else ""
