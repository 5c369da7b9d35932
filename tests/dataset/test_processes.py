"""Processes that work for another end when it is killed, and leave Ctrl-C to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from vaxseq.dataset.processes import _no_interrupt

CONVERT = ["-m", "vaxseq", "convert", "a.csv", "o.arrow", "--workers", "2", "--quiet"]
# A pool of the user's is watched from its first unit on; the job says when both processes have had one.
JOB = """
import os, threading, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
import vaxseq as vs

def watched(_):
    time.sleep(0.01)
    return os.getpid() if any(one.name == "vaxseq-parent" for one in threading.enumerate()) else 0

if __name__ == "__main__":
    features = {"version": 1, "inputs": {"x": {"features": [{"column": "v", "steps": [{"quantile": {}}]}]}}}
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for _ in range(1000):
            WORK
            if len({*pool.map(watched, range(6))} - {0}) == 2:
                Path("watched").touch()
"""
WORK = {
    "fit": 'vs.FeatureSet.from_dict(features).fit(vs.open("a.arrow"), executor=pool, progress=False)',
    "materialize": (
        'vs.materialize("a.arrow", None, "s.h5", inputs=["v"], overwrite=True, executor=pool, progress=False)'
    ),
}


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
    Path("a.csv").write_text("t,v\n" + block * 40)
    Path("b.csv").write_text("t,v\n" + block)
    vs.convert("b.csv", "a.arrow", progress=False)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("job", ["convert", "fit", "materialize"])
def test_workers_end_with_their_parent(data: Path, job: str) -> None:
    command = CONVERT if job == "convert" else ["job.py"]
    Path("job.py").write_text(JOB.replace("WORK", WORK.get(job, "")))
    read, write = os.pipe()
    process = subprocess.Popen([sys.executable, *command], stdout=write, stderr=write)
    os.close(write)
    try:
        assert wait_for(lambda: bool(children(process.pid)), 60)
        if job == "convert":
            time.sleep(0.2)
        else:
            assert wait_for(Path("watched").exists, 60)
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


def test_ctrl_c_that_another_thread_gets_is_held_back_too() -> None:
    stop, done = threading.Event(), []
    other = threading.Thread(target=stop.wait)
    other.start()

    def start_a_process() -> None:
        with _no_interrupt():
            assert other.ident is not None
            signal.pthread_kill(other.ident, signal.SIGINT)
            time.sleep(0.2)
            done.append("whole")

    try:
        with pytest.raises(KeyboardInterrupt):
            start_a_process()
    finally:
        stop.set()
        other.join()
    assert done == ["whole"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
