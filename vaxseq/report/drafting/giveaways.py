"""Columns that give a target away: its copies, what is made of it, and its values in the rows before or after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vaxseq.expressions.values import Value
from vaxseq.report.column import ColumnSummary
from vaxseq.report.drafting.exact_sum import parts_of
from vaxseq.report.drafting.sample import Sample
from vaxseq.report.leaks import alone
from vaxseq.report.pairs import numbers

Floats = npt.NDArray[np.float64]

_SHIFTS = (-3, -2, -1, 1, 2, 3)
_SAME = 0.98  # of the rows where both are there
_KAPPA = 0.9
_EXACT = 1e-9  # of the target's variance that a formula may leave
_MOST_COLUMNS = 64
_FEW_ROWS = 30
_RANKED = 0.999
_FEW_MANY = 1000
_NEARLY = 1e-6
_MOST_HOLEY = 16


def giveaways(
    sample: Sample, summaries: Mapping[str, ColumnSummary], target: str, columns: Sequence[str]
) -> dict[str, str]:
    """Column -> why it tells the target, for those that do so beyond what a column of the world would."""
    found: dict[str, str] = {}
    truth = _codes(sample.columns[target])
    for name in columns:
        if summaries[name].shape:
            continue
        shift = _shift_of(_codes(sample.columns[name], sample.columns[target]), truth, sample.ids)
        ranked = _ranked(sample.columns[name], truth) if not shift else 0.0
        if ranked >= _RANKED:
            found[name] = f"it goes with the target, value for value: rank correlation {ranked:.4f}"
        elif shift:
            rows = f"{abs(shift)} row{'s' if abs(shift) > 1 else ''}"
            found[name] = f"it is the target of {rows} {'before' if shift > 0 else 'after'}"
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


def _codes(value: Value, like: Value | None = None) -> Floats:
    """A column as numbers that are equal where its values are; NaN where missing. Text is compared with ``like``'s."""
    if not isinstance(value.data, pa.Array):
        return numbers(value) if not value.shape else np.full(len(value), np.nan)
    texts = value.data.cast(pa.large_string())
    words = texts if like is None or not isinstance(like.data, pa.Array) else like.data.cast(pa.large_string())
    import pyarrow.compute as pc

    known = pc.unique(words.drop_null())
    return np.asarray(pc.index_in(texts, value_set=known).to_numpy(zero_copy_only=False), np.float64)


def _shift_of(column: Floats, truth: Floats, ids: npt.NDArray[np.int64]) -> int:
    """By how many rows the column is the target's, if it is; 0 otherwise. Positive: the target of rows before."""
    best, most = 0, _same(column, truth)[0]
    for shift in _SHIFTS:
        near = abs(shift)
        neighbours = ids[near:] - ids[:-near] == near
        later, earlier = (column, truth) if shift > 0 else (truth, column)
        same, kappa = _same(later[near:][neighbours], earlier[:-near][neighbours])
        if same >= _SAME and kappa >= _KAPPA and same > most:
            best, most = shift, same
    return best


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


def _same(a: Floats, b: Floats) -> tuple[float, float]:
    """The share of rows that are equal, and Cohen's kappa: how far that is beyond chance."""
    there = ~(np.isnan(a) | np.isnan(b))
    a, b = a[there], b[there]
    if len(a) < _FEW_ROWS or (a == a[0]).all():
        return 0.0, 0.0
    same = float((a == b).mean())
    values, codes = np.unique(np.concatenate([a, b]), return_inverse=True)
    shares = [np.bincount(one, minlength=len(values)) / len(a) for one in (codes[: len(a)], codes[len(a) :])]
    chance = float((shares[0] * shares[1]).sum())
    return same, (same - chance) / (1 - chance) if chance < 1 else 0.0


def _formulas(sample: Sample, target: str, columns: Sequence[str]) -> dict[str, str]:
    """Columns that are the target and another column, added or multiplied: the one nearer to the target is named."""
    truth = _codes(sample.columns[target])
    if len(np.unique(truth[~np.isnan(truth)])) < _FEW_ROWS:
        return {}
    forms: list[tuple[str, Floats]] = []
    for name in columns[:_MOST_COLUMNS]:
        plain = _codes(sample.columns[name])
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
    plain = {name: _codes(sample.columns[name]) for name in columns}
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
