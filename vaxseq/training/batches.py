"""Batches as the tuple that Keras takes, (x,), (x, y) or (x, y, weight), made of a reader's arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from vaxseq.features.program.recipe import Field, Recipe
from vaxseq.loading.loader import Loaded
from vaxseq.loading.readers.frame import Arrays
from vaxseq.training.backend import keras
from vaxseq.training.class_weights import ClassWeights

Batch = tuple[Any, ...]


class BatchMaker:
    """Puts fields together by role: one input or target is an array, several are a dict by name.

    Weights are there when the recipe has a weight, when classes are weighted, or when batches are padded.
    """

    def __init__(self, recipe: Recipe, class_weight: ClassWeights | None, padded: bool) -> None:
        self._fields = recipe.fields
        self._targets = recipe.of("target")
        self._padded = padded
        self._class_weight = class_weight
        self._torch = keras.backend.backend() == "torch"
        has_weight = any(field.role == "weight" for field in self._fields)
        self.weighted = self._padded or self._class_weight is not None or has_weight

    def arrays(self, loaded: Loaded) -> Batch:
        """The tuple for Keras, of NumPy arrays: contiguous, native and nobody else's."""
        by_role: dict[str, dict[str, Any]] = {"input": {}, "target": {}, "weight": {}}
        for field, array in zip(self._fields, loaded.arrays, strict=True):
            by_role[field.role][field.name] = array
        batch: list[Any] = [_one_or_dict(by_role["input"])]
        if by_role["target"] or self.weighted:
            batch.append(_one_or_dict(by_role["target"]) if by_role["target"] else None)
        if self.weighted:
            batch.append(self._weights(by_role, loaded))
        return tuple(batch)

    def cut(self, arrays: Arrays, size: int) -> list[Batch]:
        """Batches of ``size`` rows of one input and one target, out of their arrays."""
        x, y = arrays
        if self._torch:
            return list(zip(self._tensors(x).split(size), self._tensors(y).split(size), strict=True))
        return [(x[start : start + size], y[start : start + size]) for start in range(0, len(x), size)]

    @property
    def cuts(self) -> bool:
        """Whether all batches are such, and nothing has to be added to them."""
        return not self.weighted and [field.role for field in self._fields] == ["input", "target"]

    @property
    def plain(self) -> bool:
        """Whether a batch is the tuple of its arrays, as they are."""
        return self.cuts and not self._torch

    def tensors(self, batch: Batch) -> Batch:
        """The same arrays; on torch as its tensors, without a copy."""
        return tuple(self._tensors(part) for part in batch) if self._torch else batch

    def _weights(self, by_role: dict[str, dict[str, Any]], loaded: Loaded) -> npt.NDArray[np.float32]:
        rows = len(loaded.arrays[0])
        weights = next(iter(by_role["weight"].values()), None)
        if weights is None:
            weights = np.ones(rows, np.float32)
        if self._class_weight is not None:
            weights = weights * self._class_weight.of(by_role["target"][self._targets[0].name])
        weights[loaded.n_real :] = 0
        return np.asarray(weights, np.float32)

    def _tensors(self, part: Any) -> Any:
        if not self._torch or part is None:
            return part
        import torch

        if isinstance(part, dict):
            return {name: torch.from_numpy(array) for name, array in part.items()}
        return torch.from_numpy(part)


def named_arrays(fields: tuple[Field, ...], batch: Batch) -> list[npt.NDArray[Any]]:
    """A batch's arrays, one for each field, as NumPy has them."""
    found = []
    for field in fields:
        part = batch[{"input": 0, "target": 1, "weight": 2}[field.role]]
        one = part[field.name] if isinstance(part, Mapping) else part
        found.append(np.asarray(one.cpu() if hasattr(one, "cpu") else one))
    return found


def _one_or_dict(arrays: dict[str, Any]) -> Any:
    return next(iter(arrays.values())) if len(arrays) == 1 else arrays
