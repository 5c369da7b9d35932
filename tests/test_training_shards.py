"""Real processes and devices that share the batches: torch DDP, jax DataParallel, tf.distribute."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).with_name("sharded_training.py")
BACKEND = os.environ["KERAS_BACKEND"]


def run(folder: Path, *processes: tuple[str, int]) -> list[dict]:
    """The results of several processes that run side by side."""
    started = [
        subprocess.Popen([sys.executable, str(SCRIPT), mode, str(rank), str(folder)], stderr=subprocess.PIPE, text=True)
        for mode, rank in processes
    ]
    for process in started:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
    return [json.loads((folder / f"{mode}-{rank}.json").read_text()) for mode, rank in processes]


@pytest.mark.backend
@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "torch", reason="torch's own way of training in several processes")
def test_two_ddp_ranks_share_an_epoch_and_stay_in_step(tmp_path):
    one, two = run(tmp_path, ("ranks", 0), ("ranks", 1))
    assert one["batches"] == two["batches"] == 3
    assert one["weights"] == two["weights"]
    assert sorted(one["rows"] + two["rows"]) == sorted(2 * list(range(33)))


@pytest.mark.backend
@pytest.mark.slow
@pytest.mark.skipif(BACKEND == "torch", reason="Keras has no distribution of its own on torch")
def test_two_devices_train_to_the_weights_of_one(tmp_path):
    one, two = run(tmp_path, ("alone", 0), ("devices", 0))
    for alone, shared in zip(one["weights"], two["weights"], strict=True):
        assert np.allclose(alone, shared, rtol=1e-5, atol=1e-6)
