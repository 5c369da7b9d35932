"""Local workers: cheap to start, never waited for while there is something to read, and told apart when they end."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from vaxseq.convert import convert, run
from vaxseq.convert.readers import delimited
from vaxseq.errors import SourceError


@pytest.fixture
def source(tmp_path, monkeypatch) -> Path:
    """A file of many units."""
    monkeypatch.setattr(delimited, "_SMALLEST", 256)
    monkeypatch.setattr(delimited, "_ROWS", 1)
    monkeypatch.setattr(delimited, "_SAMPLE", 512)
    path = tmp_path / "a.csv"
    path.write_text("i,w\n" + "".join(f"{i},w{i % 7}\n" for i in range(1000)))
    return path


def test_a_worker_imports_little() -> None:
    script = (
        "import sys; from vaxseq.convert.fanout import warm; warm(); "
        "print(sorted({'pandas', 'vaex', 'keras', 'rich', 'PIL', 'fsspec'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_nobody_waits_for_workers_that_are_slow_to_start(tmp_path, source, monkeypatch) -> None:
    class Asleep(ProcessPoolExecutor):
        def submit(self, *_: Any, **__: Any) -> Future[Any]:
            return Future()

    @contextmanager
    def pool(_: int) -> Iterator[ProcessPoolExecutor]:
        with Asleep(1) as made:
            yield made

    monkeypatch.setattr(run, "process_pool", pool)
    assert convert(source, tmp_path / "o.arrow", workers=2, progress=False).n_rows == 1000


def test_a_worker_that_ends_is_told_and_the_next_run_goes_on(tmp_path, source, monkeypatch) -> None:
    class Ending(ProcessPoolExecutor):
        """Its process ends as soon as it has started."""

        def submit(self, what: Any, /, *given: Any, **options: Any) -> Future[Any]:
            if what is run.warm:
                started: Future[Any] = Future()
                started.set_result(None)
                return started
            return super().submit(os._exit, 3)

    @contextmanager
    def pool(_: int) -> Iterator[ProcessPoolExecutor]:
        with Ending(1, mp_context=multiprocessing.get_context("spawn")) as made:
            yield made

    with monkeypatch.context() as patch:
        patch.setattr(run, "process_pool", pool)
        with pytest.raises(SourceError, match=r"a worker process ended.*Run it again to go on"):
            convert(source, tmp_path / "o.arrow", workers=2, progress=False)
    assert not (tmp_path / "o.arrow").exists()
    assert convert(source, tmp_path / "o.arrow", progress=False).n_rows == 1000


def test_an_executor_gives_the_same_bytes(tmp_path, source) -> None:
    source.write_text("i,x,w\n" + "".join(f"{i},{i if i < 900 else 'late'},w{i % 5}\n" for i in range(1000)))
    alone = convert(source, tmp_path / "one.arrow", progress=False)
    with ThreadPoolExecutor(3) as pool:
        many = convert(source, tmp_path / "two.arrow", executor=pool, progress=False)
    rows = [pa.ipc.open_file(pa.memory_map(made.location)).read_all() for made in (alone, many)]
    assert rows[0].equals(rows[1])
    assert alone.schema == many.schema


def test_local_workers_give_the_same_rows(tmp_path, source) -> None:
    made = convert(source, tmp_path / "o.arrow", workers=2, progress=False)
    rows = pa.ipc.open_file(pa.memory_map(made.location)).read_all().to_pydict()
    assert rows == {"i": list(range(1000)), "w": [f"w{i % 7}" for i in range(1000)]}
