"""Real processes and devices that share the batches: torch DDP, jax DataParallel, tf.distribute."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from prepared import PreparedPython

Run = Callable[..., list[dict]]
SCRIPT = Path(__file__).with_name("sharded_training.py")
BACKEND = os.environ["KERAS_BACKEND"]
ROWS = 1025
pytestmark = [pytest.mark.backend, pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture
def run(keras_python: PreparedPython) -> Run:
    return partial(start, keras_python)


def start(python: PreparedPython, folder: Path, mode: str, ranks: int = 1, *rest: str, code: int = 0) -> list[dict]:
    """The results of several processes that run side by side; with ``code`` they are to end so."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = {
        **os.environ,
        "KERAS_DISTRIBUTION_JOB_ADDRESSES": f"127.0.0.1:{port}",
        "KERAS_DISTRIBUTION_NUM_PROCESSES": str(ranks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "WORLD_SIZE": str(ranks),
    }
    with contextlib.ExitStack() as free:  # a port for each TensorFlow worker
        held = [free.enter_context(socket.socket()) for _ in range(ranks)]
        for one in held:
            one.bind(("127.0.0.1", 0))
        workers = [f"127.0.0.1:{one.getsockname()[1]}" for one in held]

    def of_worker(rank: int) -> dict[str, str]:
        task = {"type": "worker", "index": rank}
        known = {"TF_CONFIG": json.dumps({"cluster": {"worker": workers}, "task": task})}
        return known if mode == "workers" else {}

    started = [
        python.popen(
            [SCRIPT, mode, str(rank), folder, *rest],
            env={**environment, "RANK": str(rank), "KERAS_DISTRIBUTION_PROCESS_ID": str(rank), **of_worker(rank)},
            stderr=subprocess.PIPE,
        )
        for rank in range(ranks)
    ]
    try:
        for process in started:
            _, errors = process.communicate(timeout=280)
            assert process.returncode == code or (code and process is not started[0]), errors
    finally:
        for process in started:  # that wait for one that failed
            process.kill()
            process.wait()
    return [] if code else [json.loads((folder / f"{mode}-{rank}.json").read_text()) for rank in range(ranks)]


def rows_of(found: list[dict], epoch: int) -> list[int]:
    return sorted(row for one in found for batch in one["rows"][str(epoch)].values() for row in batch)


def assert_near(one: dict, two: dict) -> None:
    for alone, shared in zip(one["weights"], two["weights"], strict=True):
        assert np.allclose(alone, shared, rtol=1e-5, atol=1e-6)


def test_the_reference_s_training_sees_each_row_once_and_stays_in_step(tmp_path, run: Run):
    found = run(tmp_path, "reference", 1 if BACKEND == "tensorflow" else 2)
    for epoch in range(2):
        assert rows_of(found, epoch) == list(range(ROWS))
    assert [one["batches"] for one in found] == ([5] if BACKEND == "tensorflow" else [3, 3])
    assert all(one["weights"] == found[0]["weights"] for one in found)


@pytest.mark.skipif(BACKEND == "torch", reason="Keras has no distribution of its own on torch")
def test_two_devices_train_to_the_weights_of_one(tmp_path, run: Run):
    [one] = run(tmp_path, "devices")
    for epoch in range(3):
        assert rows_of([one], epoch) == list(range(ROWS))
    [two] = run(tmp_path, "alone", 1, "256")
    assert_near(one, two)


@pytest.mark.skipif(BACKEND != "jax", reason="Keras trains in several processes on jax alone")
def test_two_killed_ranks_go_on_as_two_and_then_as_one(tmp_path, run: Run):
    run(tmp_path, "ranks", 2, "5", code=-signal.SIGKILL)
    assert position(tmp_path) == (1, 512)
    run(tmp_path, "ranks", 2, "2", code=-signal.SIGKILL)
    assert position(tmp_path) == (1, 1024)
    [whole], [resumed] = run(tmp_path, "alone", 1, "512"), run(tmp_path, "resumed")
    assert_near(whole, resumed)
    assert rows_of([resumed], 2) == list(range(ROWS))
    assert len(rows_of([resumed], 1)) == 1


@pytest.mark.skipif(BACKEND != "jax", reason="Keras trains in several processes on jax alone")
def test_two_ranks_go_on_as_three_and_then_as_one(tmp_path, run: Run):
    run(tmp_path, "ranks", 2, "2", code=-signal.SIGKILL)
    assert position(tmp_path) == (0, 512)  # the last step wasn't saved
    run(tmp_path, "ranks", 3, "2", code=-signal.SIGKILL)
    assert position(tmp_path) == (1, 0)
    [resumed] = run(tmp_path, "resumed")
    for epoch in (1, 2):
        assert rows_of([resumed], epoch) == list(range(ROWS))


@pytest.mark.skipif(BACKEND != "torch", reason="the reference's loop over DDP")
@pytest.mark.parametrize(("before", "after"), [(2, 3), (3, 1), (1, 2)])
def test_the_reference_s_loop_goes_on_with_other_ranks(tmp_path, run: Run, before: int, after: int):
    first = run(tmp_path, "elastic", before, "1")
    rest = run(tmp_path, "elastic", after)
    taken, left = rows_of(first, 0), rows_of(rest, 0)
    assert len(taken) == before * 256
    assert sorted(taken + left) == list(range(ROWS))
    assert rows_of(rest, 1) == list(range(ROWS))
    assert all(one["weights"] == rest[0]["weights"] for one in rest)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's workers")
def test_two_workers_of_tensorflow_see_each_row_once_and_stay_in_step(tmp_path, run: Run):
    found = run(tmp_path, "workers", 2)
    for epoch in range(2):
        assert rows_of(found, epoch) == list(range(ROWS))
    assert [one["batches"] for one in found] == [3, 3]
    assert found[0]["weights"] == found[1]["weights"]


def position(folder: Path) -> tuple[int, int]:
    saved = json.loads((folder / "run" / "resume.json").read_text())["position"]
    return saved["epoch"], saved["item"]
