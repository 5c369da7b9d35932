"""Predictions back in a target's own unit: its steps undone, the last one first."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vaxseq.errors import FeatureTypeError, OptionError
from vaxseq.features.learning.state_file import Learned
from vaxseq.features.program.resolve import Group, Place


def undone(group: Group, learned: Learned, values: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    """The values of a target, shape (rows,) or (rows, columns), before its steps.

    Raises:
        OptionError: an array of another width than the target's.
        FeatureTypeError: a step can't be undone.
    """
    if len(group.places) == 1:
        return _undone(group.places[0], learned, values)
    if values.shape[-1] != len(group.places):
        raise OptionError(f"target {group.name!r}: got shape {values.shape}, expected (rows, {len(group.places)})")
    columns = [_undone(place, learned, values[..., number]) for number, place in enumerate(group.places)]
    return np.stack(columns, axis=-1)


def _undone(place: Place, learned: Learned, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    if place.history is not None:
        name = place.history.steps[-1].name
        raise FeatureTypeError(f"{place.key}: step {name!r} looks back, so it can't be undone from a row")
    for step, known in zip(reversed(place.steps), reversed(learned[place.key]), strict=True):
        try:
            values = step.inverse(values, known)
        except FeatureTypeError as error:
            raise FeatureTypeError(f"{place.key}: {error}") from error
    return values
