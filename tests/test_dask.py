"""Convert, fit and materialize through dask.distributed: a real scheduler, two worker processes, one killed halfway."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from prepared import PreparedProcess, PreparedPython

import vaxseq as vs
from vaxseq.cli import main
from vaxseq.errors import OptionError
from vaxseq.loading.scatter.buckets import Buckets

distributed = pytest.importorskip("distributed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:(distributed|dask|tornado)"),
    pytest.mark.filterwarnings("ignore:Sending large graph:UserWarning"),
]


@contextmanager
def process(python: PreparedPython, *arguments: str, log: Path) -> Iterator[PreparedProcess]:
    """A process of ours, killed at the end."""
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "10"}
    with open(log, "wb") as out:
        started = python.popen(["-m", *arguments], stdout=out, stderr=out, env=environment)
    try:
        yield started
    finally:
        started.kill()
        started.wait()


Cluster = Callable[[Path], AbstractContextManager[tuple[str, list[PreparedProcess]]]]


@pytest.fixture
def two_workers(python: PreparedPython) -> Cluster:
    return partial(cluster_of_two, python)


@contextmanager
def cluster_of_two(python: PreparedPython, folder: Path) -> Iterator[tuple[str, list[PreparedProcess]]]:
    """The address of a scheduler on loopback, and its two worker processes of one thread each."""
    folder = Path(tempfile.mkdtemp(dir=folder))
    with ExitStack() as stack:
        place = folder / "scheduler.json"
        stack.enter_context(process(
            python, "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
            "--scheduler-file", str(place), log=folder / "scheduler.log",
        ))  # fmt: skip
        wait(lambda: place.exists() and place.read_text().endswith("}"), folder / "scheduler.log")
        address = json.loads(place.read_text())["address"]
        workers = [
            stack.enter_context(process(
                python, "distributed.cli.dask_worker", address, "--host", "127.0.0.1", "--nthreads", "1", "--no-nanny",
                "--no-dashboard", "--local-directory", str(folder), log=folder / f"worker-{number}.log",
            ))
            for number in range(2)
        ]  # fmt: skip
        with distributed.Client(address, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=90)
        yield address, workers


def wait(done: Callable[[], Any], log: Path, seconds: float = 90) -> None:
    until = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.02)


@contextmanager
def killed_when(worker: PreparedProcess, ripe: Callable[[], Any]) -> Iterator[list[float]]:
    """SIGKILL for the worker as soon as the work has come far enough; gives the time of the kill."""
    killed: list[float] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            if ripe():
                worker.send_signal(signal.SIGKILL)
                worker.wait()
                killed.append(time.monotonic())
                return
            time.sleep(0.002)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


DEFINITION = {
    "version": 1,
    "inputs": {
        "numeric": {
            "features": [
                {"columns": ["a", "b"], "steps": [{"impute": {"strategy": "median"}}, "standardize"]},
                {"column": "c", "steps": ["quantile"]},
            ]
        },
        "word": {"dtype": "int32", "features": [{"column": "s", "steps": ["vocabulary"]}]},
    },
    "targets": {"y": {"expr": "a * 2 > c"}},
}


def write_csv(path: Path, rows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b, c = rng.normal(size=rows), rng.integers(0, 1000, rows), rng.random(rows)
    words = pa.DictionaryArray.from_arrays(rng.integers(0, 300, rows), [f"w{word}" for word in range(300)])
    table = pa.table({"a": a, "b": pa.array(b, mask=b % 9 == 0), "c": c, "s": words.cast(pa.string())})
    pa.csv.write_csv(table, path, pa.csv.WriteOptions(quoting_style="none"))


def test_two_workers_one_killed_halfway_make_the_same_bytes(tmp_path, two_workers: Cluster) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    for number in range(16):
        write_csv(raw / f"{number:02d}.csv", 40_000, number)
    alone, shared = tmp_path / "alone" / "o.arrow", tmp_path / "shared" / "o.arrow"
    vs.convert(raw, alone, progress=False)

    with two_workers(tmp_path) as (address, workers), distributed.Client(address, set_as_default=False) as client:
        executor = client.get_executor()
        journal = shared.with_name("o.arrow.partial") / "journal.jsonl"
        with killed_when(
            workers[0], lambda: journal.exists() and journal.read_bytes().count(b'"pieces"') >= 3
        ) as killed:
            vs.convert(raw, shared, executor=executor, progress=False)
            ended = time.monotonic()
        assert killed, "the worker outlived the conversion"
        assert killed[0] < ended
        assert shared.read_bytes() == alone.read_bytes()
        assert len(client.scheduler_info()["workers"]) == 1
        # the same conversion again: a remembered result would name files that are gone
        vs.convert(raw, shared, executor=executor, overwrite=True, progress=False)
        assert shared.read_bytes() == alone.read_bytes()


def test_fit_and_materialize_with_a_worker_killed_halfway(tmp_path, monkeypatch, two_workers: Cluster) -> None:
    from vaxseq.features.learning import fit as fit_module

    write_csv(tmp_path / "a.csv", 300_000, 0)
    data = tmp_path / "a.arrow"
    vs.convert(tmp_path / "a.csv", data, progress=False)
    frame = vs.open(data)
    definition = vs.FeatureSet.from_dict(DEFINITION)
    monkeypatch.setattr(fit_module, "UNIT_ROWS", 1 << 16)
    merged = [0]
    real = fit_module.Collected.merge

    def counted(self: Any, *rest: Any) -> None:
        real(self, *rest)
        merged[0] += 1

    monkeypatch.setattr(fit_module.Collected, "merge", counted)
    alone = definition.fit(frame, progress=False)
    vs.materialize(frame, alone, tmp_path / "alone.h5", shuffle_seed=3, progress=False)
    with two_workers(tmp_path) as (address, workers), distributed.Client(address, set_as_default=False) as client:
        executor = client.get_executor()
        merged[0] = 0
        with killed_when(workers[0], lambda: merged[0] >= 2) as killed:
            shared = definition.fit(frame, executor=executor, progress=False)
        assert killed
        assert shared.state == alone.state

    part = tmp_path / "shared.h5.part.journal"
    monkeypatch.setattr(import_module("vaxseq.store.materializing"), "_UNIT_BYTES", 1 << 20)
    with two_workers(tmp_path) as (address, workers), distributed.Client(address, set_as_default=False) as client:
        executor = client.get_executor()
        with killed_when(workers[1], lambda: part.exists() and part.read_bytes().count(b"unit") >= 2) as killed:
            vs.materialize(frame, alone, tmp_path / "shared.h5", shuffle_seed=3, executor=executor, progress=False)
        assert killed
    assert contents(tmp_path / "shared.h5") == contents(tmp_path / "alone.h5")


def test_a_scatter_with_a_worker_killed_halfway(tmp_path, monkeypatch, two_workers: Cluster) -> None:
    x = np.random.default_rng(0).normal(size=(200_000, 4))
    data = tmp_path / "a.arrow"
    vs.convert({f"x{i}": column for i, column in enumerate(x.T)}, data, progress=False)
    options = {"inputs": ["x0", "x1", "x2", "x3"], "batch_size": 5000, "shuffle": "global"}
    alone = vs.Sequence(vs.open(data), **options)
    expected = [np.asarray(alone.batch(0, index)[0]) for index in range(len(alone))]
    put = [0]
    real = Buckets.scatter

    def counted(self: Any, *rest: Any) -> None:
        real(self, *rest)
        put[0] += 1

    monkeypatch.setattr(Buckets, "scatter", counted)
    monkeypatch.setenv("VAXSEQ_MEMORY", "2MB")
    monkeypatch.setenv("VAXSEQ_SCRATCH", str(tmp_path))
    with two_workers(tmp_path) as (address, workers), distributed.Client(address, set_as_default=False) as client:
        shared = vs.Sequence(vs.open(data), **options, executor=client.get_executor())
        with killed_when(workers[0], lambda: put[0] >= 4) as killed:
            found = [np.asarray(shared.batch(0, index)[0]) for index in range(len(shared))]
        assert killed, "the worker outlived the scatter"
        assert len(client.scheduler_info()["workers"]) == 1
    assert all((one == other).all() for one, other in zip(found, expected, strict=True))


def contents(path: Path) -> dict[str, bytes]:
    """Every array's bytes."""
    import h5py

    found: dict[str, bytes] = {}
    with h5py.File(path, "r") as file:
        file.visititems(lambda name, one: found.update({name: one[()].tobytes()}) if hasattr(one, "shape") else None)
    assert found
    return found


def test_the_command_line_takes_a_scheduler(tmp_path, two_workers: Cluster) -> None:
    write_csv(tmp_path / "a.csv", 20_000, 0)
    (tmp_path / "f.yaml").write_text(json.dumps(DEFINITION))
    with two_workers(tmp_path) as (address, _):
        for verb in (
            ["convert", f"{tmp_path}/a.csv", f"{tmp_path}/a.arrow", "--quiet"],
            ["fit", f"{tmp_path}/f.yaml", f"{tmp_path}/a.arrow", "-o", f"{tmp_path}/fitted.json"],
            [
                "materialize",
                f"{tmp_path}/fitted.json",
                f"{tmp_path}/a.arrow",
                f"{tmp_path}/a.h5",
                "--shuffle-seed",
                "1",
            ],
            ["verify", f"{tmp_path}/a.arrow"],
        ):
            with pytest.raises(SystemExit) as ended:
                main([*verb, "--scheduler", address])
            assert ended.value.code == 0, verb

    fitted = vs.FeatureSet.from_dict(DEFINITION).fit(vs.open(tmp_path / "a.arrow"), progress=False)
    assert vs.FittedFeatures.load(tmp_path / "fitted.json").state == fitted.state


def test_no_scheduler_there_is_said(monkeypatch) -> None:
    from vaxseq.cli import _cluster

    monkeypatch.setattr(_cluster, "_TIMEOUT_S", 0.3)
    told = pytest.raises(OptionError, match="no Dask scheduler answers; got 'tcp://127.0.0.1:1'")
    with told, _cluster.cluster("tcp://127.0.0.1:1"):
        pass
