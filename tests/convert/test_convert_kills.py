"""A conversion killed at any moment goes on, and its result equals an uninterrupted one's."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prepared import PreparedPython

from vaxseq.convert import convert
from vaxseq.dataset.manifest import Manifest

KILLS = int(os.environ.get("VAXSEQ_TEST_KILLS", "12"))  # by target


def contents(path: Path) -> object:
    manifest = Manifest.load(path)
    rejects = pq.read_table(path.with_name(path.name + ".rejects.parquet")).to_pylist()
    if manifest.format == "hdf5":
        rows = convert(path, path.with_suffix(".back.arrow"), progress=False, overwrite=True).paths()
    else:
        rows = manifest.paths()
    found = [pa.ipc.open_file(pa.memory_map(str(one))).read_all() for one in rows]
    return manifest.schema, manifest.n_rows, manifest.rejected_rows, pa.concat_tables(found).to_pydict(), rejects


@contextmanager
def conversions(python: PreparedPython, source: Path) -> Iterator[Any]:
    """A function that converts to a target, killed after so many seconds; gives the exit code and the time."""
    script = Path(__file__).with_name("killed_convert.py")
    with python.popen([script, source], stdin=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout

        def run(target: Path, seconds: float = 1e9) -> tuple[int, float]:
            process.stdin.write(f"{target} {seconds}\n")
            process.stdin.flush()
            code, took = process.stdout.readline().split()
            return int(code), float(took)

        yield run
        process.stdin.close()
    assert process.returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("target", ["o.arrow", "set", "o.hdf5"])
def test_sigkill_at_random_moments(python: PreparedPython, forked_probe: None, tmp_path: Path, target: str) -> None:
    source = tmp_path / "a.csv"
    cells = [
        f"{i},{i if i < 4_000 else i / 8},{'bad' if i % 997 == 0 else i * 0.5},w{i // 300}\n" for i in range(6_000)
    ]
    source.write_text("i,x,v,w\n" + "".join(cells))
    rng = np.random.default_rng(0)
    with conversions(python, source) as run:
        whole = tmp_path / f"whole-{target}"
        code, took = run(whole)
        assert code == 0
        expected = contents(whole)
        kills = attempt = resumed = 0
        while kills < KILLS:
            attempt += 1
            made = tmp_path / f"{attempt}-{target}"
            code = -signal.SIGKILL
            while code == -signal.SIGKILL:
                if made.exists() and not made.with_name(made.name + ".partial").exists():
                    break  # killed when all was done
                resumed += made.with_name(made.name + ".partial").exists()
                code, _ = run(made, rng.uniform(0.0, took))
                kills += code == -signal.SIGKILL
            assert code in (0, -signal.SIGKILL)
            assert contents(made) == expected
            leftovers = {one.name for one in tmp_path.glob(f"{made.name}.*")}
            assert leftovers <= {f"{made.name}.rejects.parquet", f"{made.name}.partial-done"}
    assert resumed > KILLS / 3
