"""A source that is cut short while it is converted ends in an error that names it, never in a signal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from prepared import PreparedPython

import vaxseq as vs

ROWS = 600_000

# the second piece that is staged cuts the source; what was opened before stays open
SCRIPT = """
import os, sys
import vaxseq as vs
from vaxseq.convert.readers import ipc
from vaxseq.convert.stage import Stage
ipc._READ_BYTES, ipc._ROWS = (5 << 20, 100_000) if "large" in sys.argv[1] else (1 << 30, 1 << 20)
path, target = sys.argv[1:]
add, count = Stage.add, 0
def cutting(self, *given):
    global count
    count += 1
    if count == 1:
        os.truncate(path, os.path.getsize(path) // 8)
    return add(self, *given)
Stage.add = cutting
try:
    vs.convert(path, target, progress=False)
except vs.VaxseqError as error:
    print("refused:", error)
print("pieces", count)
"""


def table() -> pa.Table:
    numbers = np.random.default_rng(0).normal(size=(ROWS, 6))
    return pa.table({f"c{index}": numbers[:, index] for index in range(6)})


def arrow(path: Path) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table().schema) as writer:
        writer.write_table(table(), max_chunksize=100_000)


def stream(path: Path) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table().schema) as writer:
        writer.write_table(table(), max_chunksize=100_000)


def columns_first(path: Path) -> None:
    np.save(path, np.asfortranarray(np.random.default_rng(0).normal(size=(2_000_000, 6))))


def records(path: Path) -> None:
    np.save(path, np.zeros(3_000_000, [("a", "f8"), ("b", "i4", 2)]))


def text(path: Path) -> None:
    path.write_text("a,b\n" + "".join(f"{i},{i * 0.123456789012}\n" for i in range(500_000, 515_000)) * 100)


WRITERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "arrow": ("s.arrow", arrow),
    "arrow in one batch": (
        "large.arrow", lambda path: feather.write_feather(table(), str(path), "uncompressed", chunksize=ROWS)
    ),
    "stream": ("s.arrows", stream),
    "feather": ("s.feather", lambda path: feather.write_feather(table(), str(path), "lz4", chunksize=100_000)),
    "parquet": ("s.parquet", lambda path: pq.write_table(table(), path, row_group_size=100_000)),
    "hdf5": ("s.hdf5", lambda path: vs.convert(table(), path, progress=False)),
    "npy": ("s.npy", lambda path: np.save(path, np.random.default_rng(0).normal(size=(2_000_000, 6)))),
    "npy columns first": ("s.npy", columns_first),
    "npy records": ("s.npy", records),
    "csv": ("s.csv", text),
    "jsonl": (
        "s.jsonl", lambda path: path.write_text("".join(f'{{"a": {i}, "b": {i / 7}}}\n' for i in range(10_000)) * 100)
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", WRITERS)
def test_a_source_that_is_cut_short(python: PreparedPython, tmp_path: Path, kind: str) -> None:
    name, write = WRITERS[kind]
    path = tmp_path / name
    write(path)
    done = python.run(["-c", SCRIPT, path, tmp_path / "made.arrow"], timeout=100)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith("refused:"), done.stdout
    assert name in done.stdout
    assert not (tmp_path / "made.arrow").exists()


def test_rows_of_numpy_files_are_what_they_were(tmp_path: Path) -> None:
    numbers = np.arange(84, dtype=np.float32).reshape(7, 3, 4)
    for order in "CF":
        np.save(tmp_path / f"{order}.npy", np.array(numbers, order=order))
        vs.convert(tmp_path / f"{order}.npy", tmp_path / f"{order}.arrow", progress=False)
        assert np.array_equal(vs.open(tmp_path / f"{order}.arrow").evaluate("data").tolist(), numbers)
