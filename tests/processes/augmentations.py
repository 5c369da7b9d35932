"""Augmentations for pools of processes: in a file that imports little, as each process imports it."""

from __future__ import annotations

from typing import Any

import numpy as np


def noise(batch: Any, rng: np.random.Generator) -> Any:
    """Noise on all columns but the first."""
    x, *rest = batch
    x[:, 1:] += rng.normal(size=x[:, 1:].shape)
    return (x, *rest)


def fail(batch: Any, rng: np.random.Generator) -> Any:
    """An error for the batch that has row 5."""
    if 5 in batch[0][:, 0]:
        raise ZeroDivisionError("no way")
    return batch


def jittered(batch: Any, rng: np.random.Generator) -> Any:
    """Slowly: row by row."""
    x, y = batch
    return np.stack([row + rng.normal(0, 0.1, row.shape).astype(row.dtype) for row in x]), y


def augmented_rows(x: np.ndarray) -> np.ndarray:
    """Slowly, for a pool that somebody's dataset has made."""
    return np.stack([row + np.random.default_rng(0).normal(size=row.shape) for row in x])
