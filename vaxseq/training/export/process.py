"""The process that exports: Keras on TensorFlow, a model in, a file out, and both asked the same records."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vaxseq.features import FittedFeatures
from vaxseq.features.records.schema import like_training
from vaxseq.training.backend import keras
from vaxseq.training.export.formats import FORMATS
from vaxseq.training.layer import FittedLayer

Arrays = Mapping[str, npt.NDArray[Any]]


def main(order: Mapping[str, Any]) -> None:
    """Writes ``made`` and ``answer.json`` into the order's folder."""
    folder = Path(order["folder"])
    fitted = FittedFeatures.load(folder / "fitted.json")
    model = keras.saving.load_model(order["model"], custom_objects={"FittedLayer": FittedLayer})
    layers = [layer for layer in model.layers if isinstance(layer, FittedLayer)]
    encoded, served = _records(folder, fitted, order["rows"])
    serving = model if layers else fitted.to_keras().serving_model(model)
    wanted = _outputs(model.predict(dict(encoded) if layers else _inputs(served), verbose=0))
    serving.predict(dict(encoded), verbose=0)  # some exporters want a model that was called
    write, run = FORMATS[order["to"]]
    write(serving, folder / "made")
    found = run(folder / "made", encoded)
    problem, difference = _compared(wanted, found, order["tolerance"])
    answer = {
        "inputs": sorted(encoded),
        "records": len(next(iter(encoded.values()))),
        "difference": difference,
        "problem": problem,
    }
    (folder / "answer.json").write_text(json.dumps(answer), encoding="utf-8")


def _records(folder: Path, fitted: FittedFeatures, rows: int) -> tuple[Arrays, Arrays]:
    if (folder / "encoded.npz").exists():
        with np.load(folder / "encoded.npz") as encoded, np.load(folder / "served.npz") as served:
            return dict(encoded), dict(served)
    made = like_training(fitted, rows)
    return fitted.encode_records(made), fitted.transform_records(made)


def _inputs(arrays: Arrays) -> Any:
    return dict(arrays) if len(arrays) > 1 else next(iter(arrays.values()))


def _outputs(predicted: Any) -> list[npt.NDArray[Any]]:
    if isinstance(predicted, Mapping):
        return [np.asarray(predicted[name]) for name in sorted(predicted)]
    return [np.asarray(one) for one in (predicted if isinstance(predicted, list | tuple) else [predicted])]


def _compared(
    wanted: list[npt.NDArray[Any]], found: list[npt.NDArray[Any]], tolerance: float
) -> tuple[str | None, float]:
    """What is wrong, and the greatest difference relative to max(1, |prediction|)."""
    shapes = [sorted(one.shape for one in arrays) for arrays in (wanted, found)]
    if shapes[0] != shapes[1]:
        return f"it gives arrays of shapes {shapes[1]}, expected {shapes[0]}", float("inf")
    pairs = zip(sorted(wanted, key=lambda one: one.shape), sorted(found, key=lambda one: one.shape), strict=True)
    far = max(float((np.abs(b - a) / np.maximum(1.0, np.abs(a))).max(initial=0.0)) for a, b in pairs)
    if not far <= tolerance:
        return f"its predictions differ by up to {far:.1e} from Keras's, expected at most {tolerance:.0e}", far
    return None, far


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
