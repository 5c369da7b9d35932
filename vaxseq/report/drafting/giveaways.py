"""Columns that give a target away: its copies, what is made of it, and its values in the rows before or after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from vaxseq.expressions.values import Value
from vaxseq.report.column import ColumnSummary
from vaxseq.report.drafting.exact_sum import parts_of
from vaxseq.report.drafting.sample import Sample
from vaxseq.report.drafting.shifts import codes_of, orders_of, shift_of
from vaxseq.report.leaks import alone
from vaxseq.report.pairs import numbers

Floats = npt.NDArray[np.float64]

_MOST_PARTS, _PARTED = 64, 0.02  # the share of chance's changes that noise may leave
_EXACT = 1e-9  # of the target's variance that a formula may leave
_MOST_COLUMNS = 64
_FEW_ROWS = 30
_RANKED = 0.999
_FEW_MANY = 1000
_NEARLY = 1e-6
_MOST_HOLEY = 16


def giveaways(
    sample: Sample,
    summaries: Mapping[str, ColumnSummary],
    target: str,
    columns: Sequence[str],
    *,
    groups: Sequence[str] = (),
    order: str | None = None,
) -> dict[str, str]:
    """Column -> why it tells the target, for those that do so beyond what a column of the world would."""
    found: dict[str, str] = {}
    truth = codes_of(sample.columns[target])
    orders = list(orders_of(sample, {name: summaries[name] for name in columns}, groups, order))
    for name in columns:
        if summaries[name].shape:
            continue
        shift, where = shift_of(codes_of(sample.columns[name], sample.columns[target]), truth, orders)
        ranked = _ranked(sample.columns[name], truth) if not shift else 0.0
        if ranked >= _RANKED:
            found[name] = f"it goes with the target, value for value: rank correlation {ranked:.4f}"
        elif shift:
            rows = f"{abs(shift)} row{'s' if abs(shift) > 1 else ''}"
            found[name] = f"it is the target of {rows} {'before' if shift > 0 else 'after'}{where}"
        elif parts := _parts(sample.columns[name], truth):
            found[name] = f"each of its {parts} values is a range of the target"
    rest = [name for name in columns if name not in found]
    for told in alone(sample, summaries, rest, [target], progress=False):
        if told.suspicious:
            found[told.feature] = f"alone it tells the target: {told.measure} {told.score:.3f}"
    rest = [name for name in rest if name not in found and summaries[name].kind in ("int", "float", "bool")]
    for name, other in _formulas(sample, target, [name for name in rest if not summaries[name].shape]).items():
        found[name] = f"with {other} it gives the target exactly"
    rest = [name for name in rest if name not in found and not summaries[name].shape]
    for name, others in _longer_formulas(sample, truth, rest):
        found[name] = f"with {', '.join(others)} it gives the target exactly"
    return found


def _ranked(value: Value, truth: Floats) -> float:
    """Spearman's rank correlation with a target of many values; ties have their middle rank."""
    if value.kind not in ("int", "float"):
        return 0.0
    column = numbers(value)
    there = np.isfinite(column) & np.isfinite(truth)
    ranks = [_ranks(one[there]) for one in (column, truth)]
    return _correlation(*ranks) if len(np.unique(ranks[1])) >= _FEW_ROWS else 0.0


def _ranks(values: Floats) -> Floats:
    _, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[codes], np.float64)


def _parts(value: Value, truth: Floats) -> int:
    """Into how many ranges of the target a column's values part it; 0 where their ranges overlap."""
    codes = codes_of(value)
    there = np.isfinite(codes) & np.isfinite(truth)
    codes, truth = codes[there], truth[there]
    values, places, counts = np.unique(codes, return_inverse=True, return_counts=True)
    few = len(truth) - int(counts.max(initial=0)) < _FEW_ROWS
    if few or not 2 <= len(values) <= _MOST_PARTS or len(np.unique(truth)) < max(_FEW_ROWS, 2 * len(values)):
        return 0
    ranged = places[np.lexsort((places, truth))]
    changes = int((ranged[1:] != ranged[:-1]).sum())
    chance = len(truth) * (1 - float(((counts / len(truth)) ** 2).sum()))
    return len(values) if changes - (len(values) - 1) <= _PARTED * chance else 0


def _formulas(sample: Sample, target: str, columns: Sequence[str]) -> dict[str, str]:
    """Columns that are the target and another column, added or multiplied: the one nearer to the target is named."""
    truth = codes_of(sample.columns[target])
    if len(np.unique(truth[~np.isnan(truth)])) < _FEW_ROWS:
        return {}
    forms: list[tuple[str, Floats]] = []
    for name in columns[:_MOST_COLUMNS]:
        plain = codes_of(sample.columns[name])
        forms += [(name, one) for one in (plain, _log(plain)) if np.isfinite(one).sum() >= _FEW_ROWS]
    found: dict[str, str] = {}
    for wanted in (truth, _log(truth)):
        near = [_correlation(one, wanted) for _, one in forms]
        for here, there in _candidates([one for _, one in forms], wanted):
            (one, first), (other, second) = forms[here], forms[there]
            if one != other and one not in found and other not in found and _exact(first, second, wanted):
                made, of = (one, other) if near[here] >= near[there] else (other, one)
                found[made] = of
    return found


def _longer_formulas(sample: Sample, truth: Floats, columns: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """The same of three or more columns: the one nearest to the target, and the others."""
    if len(np.unique(truth[~np.isnan(truth)])) < _FEW_ROWS:
        return
    plain = {name: codes_of(sample.columns[name]) for name in columns}
    for log in (False, True):
        wanted = _log(truth) if log else truth
        forms = {name: _log(one) if log else one for name, one in plain.items()}
        while parts := parts_of(wanted, forms):
            made = max(parts, key=lambda name: _correlation(forms[name], wanted))
            yield made, [name for name in parts if name != made]
            del forms[made], plain[made]


def _candidates(forms: Sequence[Floats], wanted: Floats) -> list[tuple[int, int]]:
    """Pairs that may give the target exactly, by a few rows: R² of two from three correlations, for all pairs at once.

    Pairs with missing values are candidates all, unless they are many.
    """
    rows = np.flatnonzero(np.isfinite(wanted))
    rows = rows[:: max(1, len(rows) // _FEW_MANY)]
    if not forms or len(rows) < _FEW_ROWS:
        return []
    held = np.array([one[rows] for one in forms])
    whole = np.flatnonzero(np.isfinite(held).all(axis=1) & (np.nanstd(held, axis=1) > 0))
    aim = wanted[rows] - wanted[rows].mean()
    found: list[tuple[int, int]] = []
    if len(whole) > 1 and aim.std() > 0:
        parts = held[whole] - held[whole].mean(axis=1, keepdims=True)
        parts /= np.linalg.norm(parts, axis=1, keepdims=True)
        near, both = parts @ (aim / np.linalg.norm(aim)), parts @ parts.T
        apart = 1 - both**2
        with np.errstate(all="ignore"):
            told = (near[:, None] ** 2 + near[None, :] ** 2 - 2 * near[:, None] * near[None, :] * both) / apart
        places = np.argwhere(np.triu((told > 1 - _NEARLY) & (apart > _NEARLY), 1))
        found = [(int(whole[a]), int(whole[b])) for a, b in places]
    holey = np.setdiff1d(np.flatnonzero(np.isfinite(held).sum(axis=1) >= _FEW_ROWS), whole)[:_MOST_HOLEY]
    pairs = {(min(a, b), max(a, b)) for a in holey.tolist() for b in range(len(forms)) if a != b}
    return [*found, *sorted(pairs)]


def _log(values: Floats) -> Floats:
    """Of what is above zero; a column that goes below has none."""
    with np.errstate(all="ignore"):
        return np.log(values) if np.nanmin(values, initial=np.inf) > 0 else np.full(len(values), np.nan)


def _correlation(a: Floats, b: Floats) -> float:
    there = np.isfinite(a) & np.isfinite(b)
    a, b = a[there], b[there]
    if len(a) < _FEW_ROWS or a.std() == 0 or b.std() == 0:
        return 0.0
    return abs(float(np.corrcoef(a, b)[0, 1]))


def _exact(a: Floats, b: Floats, wanted: Floats) -> bool:
    """Whether the target is a sum of multiples of both, to the last digits; two unknowns from a few rows first."""
    for step in (max(1, len(wanted) // 1000), 1):  # hardly a pair passes the first thousand rows
        first, second, aim = a[::step], b[::step], wanted[::step]
        there = np.isfinite(first) & np.isfinite(second) & np.isfinite(aim)
        if there.sum() < _FEW_ROWS or not _fits(first[there], second[there], aim[there]):
            return False
    return True


def _fits(a: Floats, b: Floats, wanted: Floats) -> bool:
    parts = np.stack([a - a.mean(), b - b.mean()], axis=1)
    aim = wanted - wanted.mean()
    whole = float(aim @ aim)
    spreads = parts.std(axis=0)
    if whole == 0 or (spreads == 0).any():
        return False
    scaled = parts / spreads
    weights, *_ = np.linalg.lstsq(scaled, aim, rcond=1e-9)
    left = aim - scaled @ weights
    return float(left @ left) < _EXACT * whole and bool((np.abs(weights) > 1e-3 * np.abs(aim).max()).all())
