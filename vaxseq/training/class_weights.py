"""``class_weight=``: a weight for each class of a target, by number or by name."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from vaxseq.errors import OptionError, did_you_mean
from vaxseq.features.program.recipe import Field

_SHOWN = 20  # classes in a message


class ClassWeights:
    """Weights by class number, looked up for a whole batch; 1 for a class that has none."""

    def __init__(self, weights: Mapping[int, float], target: str) -> None:
        self._target = target
        self._keys = np.array(sorted(weights), dtype=np.int64)
        self._weights = np.array([weights[key] for key in self._keys.tolist()], dtype=np.float32)

    def of(self, target: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Weights of rows, shape (rows,).

        Raises:
            OptionError: the target holds something else than class numbers.
        """
        classes = self._classes(target)
        place = np.minimum(np.searchsorted(self._keys, classes), len(self._keys) - 1)
        return np.where(self._keys[place] == classes, self._weights[place], np.float32(1))

    def check(self, targets: Iterator[npt.NDArray[Any]]) -> None:
        """Reads targets until each class has come by.

        Raises:
            OptionError: one never does, or the target holds something else than class numbers.
        """
        wanted, seen = set(self._keys.tolist()), set[int]()
        for target in targets:
            seen |= set(np.unique(self._classes(target)).tolist())
            if wanted <= seen:
                return
        missing = sorted(wanted - seen)
        known = ", ".join(map(str, sorted(seen)[:_SHOWN])) + (", ..." if len(seen) > _SHOWN else "")
        raise OptionError(
            f"class_weight: class {missing[0]} doesn't occur in target {self._target!r}, whose classes are {known}. "
            "Leave it out."
        )

    def _classes(self, target: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        classes: npt.NDArray[np.int64] = np.rint(target).astype(np.int64)
        if target.dtype.kind == "f" and (strange := target != classes).any():
            raise OptionError(
                f"class_weight: target {self._target!r} holds {target[strange][0]:.6g}, expected whole class numbers. "
                "Use sample_weight instead."
            )
        return classes


def class_weights(wanted: Mapping[Any, float], targets: tuple[Field, ...], names: list[Any] | None) -> ClassWeights:
    """The weights of a target's classes.

    Args:
        wanted: class -> weight; classes by number, or by name if they have names.
        targets: must be one, of one number a row.
        names: of the classes 0, 1, ...; None if they have none.

    Raises:
        OptionError: naming the class or the weight that can't be.
    """
    if len(targets) != 1 or targets[0].shape:
        raise OptionError("class_weight: expected one target of one number a row. Use sample_weight instead.")
    if not isinstance(wanted, Mapping) or not wanted:
        raise OptionError(f"class_weight: got {wanted!r}, expected a weight for at least one class")
    known: dict[int, float] = {}
    for key, weight in wanted.items():
        if isinstance(weight, bool) or not isinstance(weight, (int, float, np.number)) or not _allowed(float(weight)):
            raise OptionError(f"class_weight: got {weight!r} for class {key!r}, expected a number from 0 to infinity")
        number = _number(key, [] if names is None else names, has_names=names is not None)
        if number in known:
            raise OptionError(f"class_weight: class {key!r} is there twice, by number and by name")
        known[number] = float(weight)
    return ClassWeights(known, targets[0].name)


def _allowed(weight: float) -> bool:
    return math.isfinite(weight) and weight >= 0


def _number(key: Any, names: list[Any], *, has_names: bool) -> int:
    if isinstance(key, str):
        if key not in names:
            raise OptionError(f"class_weight: no class {key!r}.{did_you_mean(key, map(str, names))}")
        return names.index(key)
    if isinstance(key, (bool, np.bool_)) or not isinstance(key, (int, np.integer)):
        raise OptionError(f"class_weight: got class {key!r}, expected a whole number or a class's name")
    if has_names and not 0 <= key < len(names):
        raise OptionError(f"class_weight: no class {key}; got classes 0 to {len(names) - 1}, by name {names[0]!r}, ...")
    return int(key)
