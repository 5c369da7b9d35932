"""SIGKILL at random moments of a training: no row is lost or doubled, and the weights are an uninterrupted run's."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).with_name("killed_training.py")
KILLS = int(os.environ.get("VAXSEQ_TEST_KILLS", "3"))
EPOCHS = 3


def start(folder: Path | str, out: Path, epochs: int = EPOCHS) -> subprocess.Popen:
    command = [sys.executable, str(SCRIPT), str(folder), str(out), str(epochs)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen) -> None:
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert "ran out of data" not in errors


@pytest.mark.backend
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_training_killed_again_and_again_ends_as_if_it_had_not_been(tmp_path):
    # saves take most of the time, so kills fall before, inside and after them
    rng = random.Random(5)
    whole = start("", tmp_path / "whole.npz")
    batches = EPOCHS * 480 // 16
    kills, out = 0, tmp_path / "killed.npz"
    while kills < KILLS:
        process = start(tmp_path / "run", out)
        for _ in range(rng.randint(1, max(1, batches // (KILLS + 1)))):
            process.stdout.readline()
        time.sleep(rng.random() * 0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
        _, errors = process.communicate()
        assert process.returncode in (-signal.SIGKILL, 0), errors
        if process.returncode == 0:
            break
        kills += 1
    finish(start(tmp_path / "run", out))
    finish(whole)
    expected, found = np.load(tmp_path / "whole.npz"), np.load(out)
    lost, doubled = int((found["seen"] < EPOCHS).sum()), int((found["seen"] > EPOCHS).sum())
    print(f"{os.environ['KERAS_BACKEND']}: {kills} kills, rows lost {lost}, rows doubled {doubled}")
    assert (lost, doubled) == (0, 0)
    assert kills >= min(KILLS, 3)
    for name in expected.files:
        assert np.array_equal(expected[name], found[name]), name
    finish(start(tmp_path / "run", out))  # over: nothing more is trained
    assert np.array_equal(np.load(out)["seen"], expected["seen"])
