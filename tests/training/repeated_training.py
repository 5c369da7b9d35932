"""Balanced and augmented training on the shipped samples. Run by test_training_repeats.py, twice."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import keras
import numpy as np

import vaxseq as vs
from vaxseq.demo.jobs import DIGITS, FLIGHTS

SAMPLES = Path(__file__).resolve().parents[2] / "data_samples"


def shifted_and_noisy(batch, rng):
    """Each image moved by up to a pixel, with a little noise."""
    images, digits = batch
    across, down = rng.integers(-1, 2, (2, len(images)))
    moved = [np.roll(one, (y, x), (0, 1)) for one, x, y in zip(images, across, down, strict=True)]
    return np.stack(moved) + rng.normal(0, 0.05, images.shape), digits


def jittered(batch, rng):
    """A little noise on the numbers, none on the codes."""
    x, late = batch
    return {**x, "numeric": x["numeric"] + rng.normal(0, 0.02, x["numeric"].shape)}, late


def weights_of(job, folder: Path, seed: int, **options) -> str:
    """A fingerprint of the weights after two epochs, or one of the flights."""
    data = folder / job.dataset
    if not data.exists():
        vs.convert(SAMPLES / job.source, data, progress=False)
    frame = vs.open(data)
    fitted = vs.FeatureSet.load(SAMPLES / job.definition).fit(frame, progress=False)
    options = {"shuffle": "global", "on_missing": job.on_missing, "drop_remainder": True, **options}
    train = vs.Sequence(frame, fitted, batch_size=job.batch_size, seed=seed, **options)  # one shape, compiled once
    keras.utils.set_random_seed(0)
    model = job.model(keras.tree.map_structure(np.asarray, train.batch(0, 0)[0]))
    model.fit(train, epochs=1 if job is FLIGHTS else 2, shuffle=False, verbose=0)
    weights = model.get_weights()
    assert all(np.isfinite(one).all() for one in weights)
    return hashlib.sha256(b"".join(np.ascontiguousarray(one).tobytes() for one in weights)).hexdigest()


def main(folder: Path, seed: int) -> dict[str, str]:
    rare = {digit: 3 if digit == 8 else 1 for digit in range(10)}
    options = {"balance": rare, "augment": shifted_and_noisy}
    return {
        "digits": weights_of(DIGITS, folder, seed, **options),
        "flights": weights_of(FLIGHTS, folder, seed, balance={0: 1, 1: 1}, augment=jittered),
        "digits, another seed": weights_of(DIGITS, folder, seed + 1, **options),
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]))))
