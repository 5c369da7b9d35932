"""Plots of one feature: what its steps make of raw values, and where what they learned lies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from vaxseq.errors import FeatureTypeError, MissingExtraError, OptionError, did_you_mean
from vaxseq.expressions.program import ProgramBuilder
from vaxseq.expressions.values import Value, as_float
from vaxseq.features.learning.fitted import Fitted
from vaxseq.features.program.compile import column_nodes, needed_columns, source_node
from vaxseq.features.program.resolve import Group, Place
from vaxseq.features.transforms import compile_chain
from vaxseq.features.transforms.impute import Impute
from vaxseq.features.transforms.numeric import Clip
from vaxseq.frame import Source, source_of

_BLUE, _RED = "#3b6ea8", "#b5483a"
_ROWS = 65_536
_POINTS = 400
_BARS = 20
_PLACES = ("lower", "mean", "median", "upper", "min", "max", "fill")  # on the raw axis; a spread is none

Floats = npt.NDArray[np.float64]


def plot_feature(fitted: Fitted, name: str, frame: Any, *, ax: Any) -> Any:
    """See `FittedFeatures.plot`."""
    group, place = _find(fitted, name)
    learned = fitted.state.learned[place.key]
    counted = next((one for one in learned if "values" in one and "counts" in one), None)
    axes = _axes(ax, 1 if counted is not None or frame is None else 2)
    if counted is not None:
        _bars(axes[0], place, counted)
        return axes[0]
    if frame is None:
        raw = _grid(place, learned)
        axes[0].plot(raw, _after(place, learned, raw), color=_BLUE)
        axes[0].set_ylabel(f"{place.name}, served")
    else:
        raw = _sample(fitted, group, place, frame)
        after = _after(place, learned, raw)
        served = after[:, 0] if after.ndim > 1 else after
        for one, values in zip(axes, (raw, served), strict=False):
            one.hist(values[np.isfinite(values)], bins=60, color=_BLUE)
            one.set_ylabel("rows")
        axes[1].set_xlabel(f"{place.name}, served")
    axes[0].set_xlabel(f"{place.name}, raw")
    low, high = axes[0].get_xlim()
    for label, value in _edges(place, learned):
        if low <= value <= high:
            axes[0].axvline(value, color=_RED, linewidth=1, linestyle="--")
            axes[0].annotate(label, (value, 1), xycoords=("data", "axes fraction"), fontsize=8, color=_RED, rotation=90)
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
    return axes if frame is not None else axes[0]


def _find(fitted: Fitted, name: str) -> tuple[Group, Place]:
    places = {place.key: (group, place) for group in fitted.groups for place in group.places}
    names = {place.name: key for key, (_, place) in reversed(places.items())}
    key = name if name in places else names.get(name)
    if key is None:
        raise OptionError(f"plot: no feature {name!r}.{did_you_mean(name, [*names, *places])}")
    return places[key]


def _axes(ax: Any, count: int) -> list[Any]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        what = "matplotlib isn't installed. Run: pip install 'vaxseq[notebook]'"
        raise MissingExtraError(f"plot: {what}") from error
    if ax is not None:
        given = list(np.ravel(ax))
        if len(given) < count:
            raise OptionError(f"plot ax: got {len(given)}, expected {count}, for what is before and after the steps")
        return given
    import matplotlib.pyplot as plt

    figure: Figure = plt.figure(figsize=(4.5 * count, 3), layout="constrained")
    return [figure.add_subplot(1, count, place + 1) for place in range(count)]


def _bars(ax: Any, place: Place, learned: Mapping[str, Any]) -> None:
    values, counts = learned["values"][:_BARS][::-1], learned["counts"][:_BARS][::-1]
    ax.barh([str(one) for one in values], counts, color=_BLUE)
    ax.set_xlabel("training rows")
    more = len(learned["values"]) - len(values)
    ax.set_title(f"{place.name}: {len(learned['values']):,} values{f', {more:,} more' if more else ''}", loc="left")
    ax.spines[["top", "right"]].set_visible(False)


def _edges(place: Place, learned: Any) -> Iterator[tuple[str, float]]:
    """What steps learned, as places on the raw axis: of the first step that learned some, and what fills gaps."""
    for number, one in enumerate(learned):
        plain = {name: one[name] for name in _PLACES if isinstance(one.get(name), int | float)}
        listed = one.get("edges") or ()
        found = [*plain.items(), *(("", float(edge)) for edge in listed)]
        if "mean" in plain and isinstance(std := one.get("std"), int | float):
            found += [("mean − std", plain["mean"] - std), ("mean + std", plain["mean"] + std)]
        places = _raw(place, learned, number, [value for _, value in found])
        if places is not None:
            yield from zip((label for label, _ in found), places.tolist(), strict=True)
        if found and "fill" not in plain:
            return


def _raw(place: Place, learned: Any, number: int, values: Any) -> Floats | None:
    """Where values that step ``number`` sees lie on the raw axis; None if a step before it can't be undone."""
    found = np.asarray(values, np.float64)
    try:
        for step, known in zip(reversed(place.steps[:number]), reversed(learned[:number]), strict=True):
            if not isinstance(step, Impute | Clip):  # these keep what they see
                found = np.asarray(step.inverse(found, known), np.float64)
    except FeatureTypeError:
        return None
    return found


def _grid(place: Place, learned: Any) -> Floats:
    """Raw values over the range that the steps know of."""
    for number, one in enumerate(learned):
        if (known := _range(one)) is not None:
            ends = _raw(place, learned, number, known)
            if ends is not None and np.isfinite(ends).all():
                return np.linspace(float(ends[0]), float(ends[1]), _POINTS)
    raise OptionError("plot: its steps learned no range of raw values. Pass the frame too: plot(name, frame)")


def _range(one: Mapping[str, Any]) -> tuple[float, float] | None:
    if isinstance(one.get("mean"), float):
        return one["mean"] - 3 * one["std"], one["mean"] + 3 * one["std"]
    for low, high in (("lower", "upper"), ("min", "max")):
        if isinstance(one.get(low), float):
            width = (one[high] - one[low]) or 1.0
            return one[low] - 0.2 * width, one[high] + 0.2 * width
    for name in ("quantiles", "edges"):
        if one.get(name):
            return float(np.min(one[name])), float(np.max(one[name]))
    return None


def _sample(fitted: Fitted, group: Group, place: Place, frame: Any) -> Floats:
    """What the feature reads in rows from all over the frame."""
    source: Source = fitted.source_of(source_of(frame), (group.role,))
    derived = fitted.feature_set.derived
    builder = ProgramBuilder()
    names = column_nodes(derived, builder, needed_columns(derived, [group]))
    program = builder.build([source_node(builder, names, place, fitted.state.learned)])
    ids = np.unique(np.linspace(0, max(0, source.n_rows - 1), min(_ROWS, source.n_rows)).astype(np.int64))
    value = program.run(source.gather(program.columns, ids))[0]
    if value.kind not in ("int", "float", "bool") or value.shape:
        raise OptionError(f"plot {place.name!r}: it reads {value.kind}, expected one number a row")
    return np.asarray(as_float(value).data)


def _after(place: Place, learned: Any, raw: Floats) -> Floats:
    builder = ProgramBuilder()
    node = compile_chain(builder, builder.column("x"), place.steps, learned)
    return np.asarray(as_float(builder.build([node]).run({"x": Value(raw)})[0]).data)
