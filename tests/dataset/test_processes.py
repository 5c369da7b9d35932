"""Processes that work for another end when it is killed, and leave Ctrl-C to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

CONVERT = ["-m", "vaxseq", "convert", "a.csv", "o.arrow", "--workers", "2", "--quiet"]
FIT = """
import sys, vaxseq as vs
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
if __name__ == "__main__":
    features = {"version": 1, "inputs": {"x": {"features": [{"column": "v", "steps": [{"quantile": {}}]}]}}}
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for _ in range(1000):
            vs.FeatureSet.from_dict(features).fit(vs.open("a.arrow"), executor=pool, progress=False)
"""
MATERIALIZE = """
import sys, vaxseq as vs
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
if __name__ == "__main__":
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for _ in range(1000):
            vs.materialize("a.arrow", None, "s.h5", inputs=["v"], overwrite=True, executor=pool, progress=False)
"""


def children(pid: int) -> list[int]:
    """The processes that a process started, except the one that multiprocessing tracks its resources with."""
    found = [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [one for one in found if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(what: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if what():
            return True
        time.sleep(0.05)
    return False


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import vaxseq as vs

    monkeypatch.chdir(tmp_path)
    block = "".join(f"{i},{i * 2}\n" for i in range(100_000))
    Path("a.csv").write_text("t,v\n" + block * 200)
    Path("b.csv").write_text("t,v\n" + block)
    vs.convert("b.csv", "a.arrow", progress=False)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("job", ["convert", "fit", "materialize"])
def test_workers_end_with_their_parent(data: Path, job: str) -> None:
    command = CONVERT if job == "convert" else ["job.py"]
    Path("job.py").write_text(FIT if job == "fit" else MATERIALIZE)
    read, write = os.pipe()
    process = subprocess.Popen([sys.executable, *command], stdout=write, stderr=write)
    os.close(write)
    try:
        assert wait_for(lambda: bool(children(process.pid)), 60)
        time.sleep(8 if job != "convert" else 0.2)  # a pool of the user's is watched from its first unit on
        started = children(process.pid)
        assert started
        assert all(map(runs, started))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert wait_for(lambda: not any(map(runs, started)), 10)
    os.set_blocking(read, False)
    assert wait_for(lambda: _ended(read), 30), "a worker holds the pipe of the killed process"
    os.close(read)


def _ended(read: int) -> bool:
    try:
        return os.read(read, 1 << 16) == b""
    except BlockingIOError:
        return False


@pytest.mark.slow
def test_ctrl_c_is_one_line_with_workers(data: Path) -> None:
    process = subprocess.Popen([sys.executable, *CONVERT], stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert wait_for(lambda: bool(children(process.pid)), 60)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.splitlines() == ["stopped; run the same command again and o.arrow goes on where it was"]
