"""SIGKILL at random moments of a training: no row is lost or doubled, and the weights are an uninterrupted run's.

VAXSEQ_TEST_KILLS=30 KERAS_BACKEND=torch pytest -s tests/training/test_training_kills.py prints each kill and where
it fell.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from prepared import PreparedPython

SCRIPT = Path(__file__).with_name("killed_training.py")
BACKEND = os.environ["KERAS_BACKEND"]
KILLS = int(os.environ.get("VAXSEQ_TEST_KILLS", "3"))
EPOCHS = max(3, KILLS // 5)
STEPS, BATCH = 30, 16


class Trainer:
    """The process that forks trainings, one at a time."""

    def __init__(self, keras_python: PreparedPython, log: Path) -> None:
        self._log = log
        with log.open("w") as errors:
            self._process = keras_python.popen([SCRIPT], stdin=subprocess.PIPE, stderr=errors)

    def start(self, **job) -> int:
        """The process id of a training."""
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return int(self.next("pid "))

    def next(self, start: str) -> str | None:
        """The rest of the next line that starts so; None if training has ended before."""
        for line in self._process.stdout:
            if line.startswith(start):
                return line[len(start) :].strip()
            if line.startswith("ended "):
                self.code = int(line.split()[1])
                return None
        raise AssertionError(self._log.read_text())

    def finish(self, **job) -> None:
        """A training to its end."""
        self.start(**job)
        assert self.next("ended ") == "0", self._log.read_text()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@contextmanager
def trainer(keras_python: PreparedPython, log: Path) -> Iterator[Trainer]:
    made = Trainer(keras_python, log)
    try:
        yield made
    finally:
        made.close()


def draft(folder: Path) -> tuple | None:
    """The state that is being written beside the saved one."""
    record = folder / "resume.json"
    saved = json.loads(record.read_text())["weights"] if record.exists() else ""
    files = [file for file in folder.glob("*") if file.name not in (saved, record.name)]
    return max(((file.stat().st_mtime_ns, file.name) for file in files), default=None)


def saved(folder: Path) -> tuple[int, int]:
    """Epoch and batch that the saved state is at."""
    record = folder / "resume.json"
    if not record.exists():
        return 0, 0
    position = json.loads(record.read_text())["position"]
    return position["epoch"], position["item"] // BATCH


@pytest.mark.backend
@pytest.mark.slow
@pytest.mark.timeout(5400)
@pytest.mark.parametrize("mirrored", [False, True], ids=["one device", "MirroredStrategy"])
def test_a_training_killed_again_and_again_ends_as_if_it_had_not_been(keras_python, tmp_path, mirrored):
    if mirrored and BACKEND != "tensorflow":
        pytest.skip("tf.distribute is TensorFlow's")
    rng = random.Random(5)
    whole, out, folder, log = (tmp_path / name for name in ("whole.npz", "killed.npz", "run", "log"))
    job = {"folder": str(folder), "out": str(out), "epochs": EPOCHS, "mirrored": mirrored}
    kills, writing = 0, 0
    name = f"{BACKEND}, MirroredStrategy" if mirrored else BACKEND
    print(f"\n{name}: {EPOCHS} epochs of {STEPS} batches; saved at epoch:batch")
    with trainer(keras_python, log) as process:
        process.finish(out=str(whole), epochs=EPOCHS, mirrored=mirrored)
        while kills < KILLS:
            before = draft(folder)
            every = rng.choice([1, 4])  # what wasn't saved is trained on again
            pid = process.start(**job, permuted=rng.random() < 0.5, every_batches=every)
            process.next("begin")
            # saves take most of the time, so kills fall before, inside and after them; some in the restoring
            epoch, batch = saved(folder)
            left = max(0, (EPOCHS - epoch) * STEPS - batch - 12)  # a dozen, for those of the moment after the last
            wanted = rng.randint(0, 2 * left // (KILLS - kills + 1))
            told = sum(process.next("batch") is not None for _ in range(wanted))
            assert told == wanted, f"training ended after {kills} kills\n{log.read_text()}"
            time.sleep(rng.random() * 0.03)
            os.kill(pid, signal.SIGKILL)
            assert process.next("ended ") == str(-signal.SIGKILL)
            inside = draft(folder) not in (None, before)
            writing += inside
            moment = "inside a save" if inside else "restoring" if wanted == 0 else "between saves"
            kills += 1
            epoch, batch = saved(folder)
            print(
                f"{kills:4}  {told:3} batches, saved every {every}; killed {moment:13} at {epoch}:{batch:02}",
                flush=True,
            )
        process.finish(**job)
        expected, found = dict(np.load(whole)), dict(np.load(out))
        process.finish(**job)  # over: nothing more is trained
        again = dict(np.load(out))
    lost, doubled = int((found["seen"] < EPOCHS).sum()), int((found["seen"] > EPOCHS).sum())
    print(f"{name}: {kills} kills, {writing} inside a save; rows lost {lost}, rows doubled {doubled}")
    assert (lost, doubled) == (0, 0)
    assert (expected["seen"] == EPOCHS).all()
    for at, weight in expected.items():
        assert np.array_equal(weight, found[at]), at
        assert np.array_equal(weight, again[at]), at
    assert "ran out of data" not in log.read_text()
