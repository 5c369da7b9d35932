"""How good predictions are, by the usual three measures."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def auc(truth: Array, score: Array) -> float:
    """The chance that a positive row has a higher score than a negative one; ties count half.

    Source: Mann and Whitney (1947); AUC = (R - p (p + 1) / 2) / (p n) with R the rank sum of the p positives.

    >>> auc(np.array([0, 1, 0, 1]), np.array([0.1, 0.4, 0.4, 0.8]))
    0.875
    """
    _, group, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[group]
    positive = truth > 0.5
    p, n = int(positive.sum()), int((~positive).sum())
    return float((ranks[positive].sum() - p * (p + 1) / 2) / (p * n))


def r2(truth: Array, predicted: Array) -> float:
    """The share of the truth's variance that the prediction explains; 0 for its mean, 1 for the truth itself.

    >>> r2(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 4.0]))
    0.5
    """
    return float(1 - np.sum((truth - predicted) ** 2.0) / np.sum((truth - truth.mean()) ** 2.0))


def accuracy(truth: Array, scores: Array) -> float:
    """The share of rows whose highest score is the true class's. ``scores``: (rows, classes).

    >>> accuracy(np.array([0, 1]), np.array([[0.9, 0.1], [0.8, 0.2]]))
    0.5
    """
    return float(np.mean(np.argmax(scores, axis=1) == truth))
