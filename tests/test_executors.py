"""One door for parallel work: each verb gives the same bits on each executor, and a worker that dies is said."""

from __future__ import annotations

import hashlib
import os
import re
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

import vaxseq as vs
from vaxseq.convert.readers import delimited
from vaxseq.dataset import processes
from vaxseq.split import scan as split_scan

ROWS = 30_000
DEFINITION = {
    "version": 1,
    "inputs": {
        "numbers": {"features": [{"columns": ["x", "z"], "steps": [{"impute": {"strategy": "mean"}}, "standardize"]}]},
        "city": {"dtype": "int32", "features": [{"columns": ["city"], "steps": ["vocabulary"]}]},
    },
    "targets": {"y": {"expr": "z >= 500"}},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """CSV files, a dataset of as many fragments, and what was fitted on it."""
    folder = tmp_path_factory.mktemp("executors")
    draw = np.random.default_rng(0)
    for part in range(3):
        x = pa.array(draw.normal(size=ROWS), mask=draw.random(ROWS) < 0.1)
        city = draw.choice(["Bonn", "Essen", "Ulm"], ROWS)
        pa.csv.write_csv(pa.table({"x": x, "z": draw.integers(0, 999, ROWS), "city": city}), folder / f"{part}.csv")
        vs.convert(folder / f"{part}.csv", folder / "ds", append=part > 0, progress=False)
    vs.FeatureSet.from_dict(DEFINITION).fit(vs.open(folder / "ds"), progress=False).save(folder / "fitted.json")
    return folder


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def convert(data: Path, out: Path, executor: Any) -> Any:
    vs.convert(f"{data}/*.csv", out / "ds.arrow", executor=executor, progress=False)
    return digest(out / "ds.arrow")


def fit(data: Path, out: Path, executor: Any) -> Any:
    vs.FeatureSet.from_dict(DEFINITION).fit(vs.open(data / "ds"), executor=executor, progress=False).save(
        out / "f.json"
    )
    return digest(out / "f.json")


def split(data: Path, out: Path, executor: Any) -> Any:
    parts = vs.split(vs.open(data / "ds"), {"a": 0.7, "b": 0.3}, by="group", key="z", executor=executor)
    return {name: hashlib.sha256(part.x.to_numpy().tobytes()).hexdigest() for name, part in parts.items()}


def materialize(data: Path, out: Path, executor: Any) -> Any:
    fitted = vs.FittedFeatures.load(data / "fitted.json")
    frame = vs.open(data / "ds")
    made = vs.materialize(frame, fitted, out / "s.h5", shuffle_seed=3, scratch=out, executor=executor, progress=False)
    return [one.tobytes() for one in (*made.arrays(), made.row_ids())]


def explore(data: Path, out: Path, executor: Any) -> Any:
    return vs.explore(vs.open(data / "ds"), executor=executor, progress=False).to_dict()


def report(data: Path, out: Path, executor: Any) -> Any:
    vs.report(vs.open(data / "ds"), out / "page.html", title="Cities", executor=executor, progress=False)
    return digest(out / "page.html")


def verify(data: Path, out: Path, executor: Any) -> Any:
    return vs.verify(data / "ds", executor=executor, progress=False)


def scatter(data: Path, out: Path, executor: Any) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAXSEQ_MEMORY", "1MB")
        patch.setenv("VAXSEQ_SCRATCH", str(out))
        fitted = vs.FittedFeatures.load(data / "fitted.json")
        train = vs.Sequence(data / "ds", fitted, shuffle="global", seed=2, batch_size=3000, executor=executor)
        assert "scattered" in str(train)
        batches = [train.batch(epoch, index) for epoch in (0, 1) for index in range(len(train))]
    return [np.asarray(one).tobytes() for x, y in batches for one in (x["numbers"], x["city"], y)]


VERBS: dict[str, Callable[[Path, Path, Any], Any]] = {
    one.__name__: one for one in (convert, fit, split, materialize, explore, report, verify, scatter)
}


@pytest.fixture(autouse=True)
def small_units(monkeypatch) -> None:
    """So that every verb has several."""
    monkeypatch.setattr(delimited, "_SMALLEST", 1 << 16)
    monkeypatch.setattr(delimited, "_ROWS", 1)
    monkeypatch.setattr(split_scan, "_UNIT_ROWS", 20_000)


def told(verb: str, data: Path, out: Path, executor: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the verb says, with nothing kept from before."""
    out.mkdir()
    monkeypatch.setenv("VAXSEQ_CACHE", str(out / "cache"))
    return VERBS[verb](data, out, executor)


@contextmanager
def threads(_: Any) -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@contextmanager
def pool_of_processes(forkserver: Any) -> Iterator[Executor]:
    with ProcessPoolExecutor(2, mp_context=forkserver) as pool:
        yield pool


@contextmanager
def dask(forkserver: Any) -> Iterator[Executor]:
    distributed = pytest.importorskip("distributed")
    settings = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0", "set_as_default": False}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONHASHSEED", "0")  # distributed sets it for good; what is set here ends with the test
        patch.setattr(distributed.nanny, "get_mp_context", lambda: forkserver)  # its processes needn't import all anew
        patch.setattr(distributed.process, "get_mp_context", lambda: forkserver)
        with distributed.Client(**settings) as client:
            yield client.get_executor(pure=False)


@contextmanager
def on_ray(_: Any) -> Iterator[Executor]:
    """The reference's own recipe, on a Ray of this machine."""
    ray = pytest.importorskip("ray")
    page = Path(vs.__file__).parent / "reference" / "sources.md"
    [recipe] = re.findall(r"^```python ray\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(recipe.partition("ray.init()")[0], names)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")  # or it would leave a token in the home folder
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        try:
            yield names["RayExecutor"]()
        finally:
            ray.shutdown()


@contextmanager
def variable(forkserver: Any) -> Iterator[None]:
    """Two processes that the environment asks for, which needn't import all anew for each verb."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAXSEQ_WORKERS", "2")
        spawned = SimpleNamespace(get_context=lambda method: {"spawn": forkserver}[method])
        patch.setattr(processes, "multiprocessing", spawned)
        yield None


EXECUTORS = {
    "threads": threads,
    "processes": pool_of_processes,
    "dask": dask,
    "ray": on_ray,
    "VAXSEQ_WORKERS": variable,
}


@pytest.fixture
def alone(data, tmp_path_factory, monkeypatch) -> Callable[[str], Any]:
    """What a verb says without an executor, and the names of the files that it makes; once for all tests."""

    def told_alone(verb: str) -> Any:
        if verb not in ALONE:
            out = tmp_path_factory.mktemp("alone") / verb
            ALONE[verb] = told(verb, data, out, None, monkeypatch), set(os.listdir(out))
        return ALONE[verb]

    return told_alone


ALONE: dict[str, Any] = {}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:(distributed|dask|tornado)")
@pytest.mark.filterwarnings("ignore:Sending large graph:UserWarning")
@pytest.mark.filterwarnings("ignore:os.fork")  # by Ray, where another test has begun JAX's threads
@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")  # Ray's, on a busy machine
@pytest.mark.parametrize("kind", EXECUTORS)
def test_every_verb_gives_the_same_bits(kind, data, alone, tmp_path, forkserver, monkeypatch) -> None:
    expected = {verb: alone(verb)[0] for verb in VERBS}
    with EXECUTORS[kind](forkserver) as executor:
        found = {verb: told(verb, data, tmp_path / f"{kind}-{verb}", executor, monkeypatch) for verb in VERBS}
    same = {verb: "equal" if found[verb] == expected[verb] else "OTHER" for verb in VERBS}
    print(f"\n{kind:>15}: " + ", ".join(f"{verb} {same[verb]}" for verb in VERBS))
    assert found == expected


class Deadly(ProcessPoolExecutor):
    """Its workers are killed at the first thing that they are to do."""

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        return super().submit(signal.raise_signal, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_a_killed_worker_is_said_and_leaves_nothing_half_done(
    verb, data, alone, tmp_path, forkserver, monkeypatch
) -> None:
    expected, made = alone(verb)
    out = tmp_path / "out"
    with Deadly(1, mp_context=forkserver) as executor:
        ProcessPoolExecutor.submit(executor, int).result()  # it has started, so that it dies at once
        with pytest.raises(vs.VaxseqError, match="worker"):
            told(verb, data, out, executor, monkeypatch)
    assert not {name for name in made & set(os.listdir(out)) if (out / name).is_file()}
    assert VERBS[verb](data, out, None) == expected  # the same call goes on
    assert {name for name in os.listdir(out) if name != "cache"} == made - {"cache"}


def test_the_variable_is_checked_and_files_alone_are_shared(data, monkeypatch) -> None:
    monkeypatch.setenv("VAXSEQ_WORKERS", "many")
    with pytest.raises(vs.VaxseqError, match="VAXSEQ_WORKERS: got 'many', expected a whole number from 1"):
        vs.verify(data / "ds", progress=False)
    monkeypatch.setenv("VAXSEQ_WORKERS", "3")
    monkeypatch.setattr(processes, "WorkerPool", lambda workers: pytest.fail(f"started {workers}"))
    table = pa.table({"x": np.arange(10.0), "g": np.arange(10)})
    vs.split(table, {"a": 0.5, "b": 0.5}, by="group", key="g")  # in this process's memory
    vs.verify(data / "ds" / "part-00000.arrow", progress=False)  # one file
    with pytest.raises(pytest.fail.Exception, match="started 3"):
        vs.verify(data / "ds", progress=False)
