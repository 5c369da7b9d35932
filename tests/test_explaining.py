"""Explainers of others name a model's inputs by ``train.feature_names``, and find what it was made of."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

import vaxseq as vs

pytestmark = [pytest.mark.backend, pytest.mark.slow]


@pytest.fixture(scope="module")
def trained() -> tuple[Any, vs.Sequence]:
    rng = np.random.default_rng(0)
    data = pd.DataFrame(
        {"a": rng.normal(size=400), "idle": rng.normal(size=400), "way": rng.choice(["up", "down"], 400)}
    )
    data["y"] = 3 * data["a"] + (data["way"] == "up")
    features = [{"columns": ["a", "idle"], "steps": ["standardize"]}, {"column": "way", "steps": ["one_hot"]}]
    fs = vs.FeatureSet.from_dict({"inputs": {"x": {"features": features}}, "targets": {"y": {"column": "y"}}})
    train = vs.Sequence(data, fs.fit(data, progress=False), batch_size=400)
    x, y = train.batch(0, 0)
    weights, *_ = np.linalg.lstsq(np.c_[x, np.ones(len(x))], y, rcond=None)
    model = keras.Sequential([keras.Input((x.shape[1],)), keras.layers.Dense(1)])
    model.layers[0].set_weights([weights[:-1, None], weights[-1:]])
    return model, train


def predict(model: Any) -> Any:
    def of(rows: Any) -> Any:
        """In batches of one shape: each new one is compiled."""
        filled = np.zeros((-(-len(rows) // 512) * 512, rows.shape[1]), np.float32)
        filled[: len(rows)] = rows
        return model.predict(filled, batch_size=512, verbose=0)[: len(rows), 0]

    return of


@pytest.mark.parametrize("algorithm", ["permutation", "kernel"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::PendingDeprecationWarning")
def test_shap(trained: tuple[Any, vs.Sequence], algorithm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    numba = pytest.importorskip("numba")
    monkeypatch.setattr(numba.config, "DISABLE_JIT", True)  # to compile shap's loops takes longer than they do
    import shap

    model, train = trained
    x = np.asarray(train.batch(0, 0)[0])
    names = train.feature_names
    if algorithm == "kernel":
        explainer = shap.KernelExplainer(predict(model), x[:50], feature_names=names)
        told = explainer(x[:8], silent=True)
    else:
        told = shap.PermutationExplainer(predict(model), x[:50], feature_names=names, seed=0)(x[:8], silent=True)
    assert list(told.feature_names) == ["a", "idle", "way_missing", "way_unseen", *names[4:]]
    expected = (x[:8, 0] - x[:50, 0].mean()) * model.get_weights()[0][0, 0]
    np.testing.assert_allclose(told.values[:, 0], expected, atol=1e-3)
    np.testing.assert_allclose(told.values[:, 1], 0, atol=1e-3)
    np.testing.assert_allclose(told.base_values + told.values.sum(axis=1), predict(model)(x[:8]), atol=1e-3)
