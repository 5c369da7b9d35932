"""Conversion against bare pyarrow loops on the same file, one thread each: `python tests/bench/bench_convert.py [rows]`."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from vaxseq.convert import convert


def make(folder: Path, rows: int) -> tuple[Path, Path]:
    """A table of numbers, repeated and single text, and instants, as CSV and as Parquet."""
    rng = np.random.default_rng(0)
    names = pa.array([f"{one}n" for one in rng.integers(0, 10**9, rows)])
    table = pa.table({
        "id": np.arange(rows), "k": rng.integers(0, 1000, rows), "x": rng.normal(size=rows).round(4), "y": rng.lognormal(size=rows).round(3),
        "c": pa.array(np.array(["alpha", "beta", "gamma"])[rng.integers(0, 3, rows)]),
        "t": pa.array(np.arange(rows) + 1_356_998_400, pa.timestamp("s")), "name": names,
    })  # fmt: skip
    pacsv.write_csv(table, folder / "a.csv", pacsv.WriteOptions(quoting_style="none"))
    pq.write_table(table, folder / "a.parquet", row_group_size=1 << 18)
    return folder / "a.csv", folder / "a.parquet"


def bare_csv(source: Path, target: Path) -> None:
    """pyarrow's reader into pyarrow's writer."""
    options = pacsv.ReadOptions(use_threads=False)
    with pacsv.open_csv(source, options) as reader, pa.ipc.new_file(target, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)


def bare_parquet(source: Path, target: Path) -> None:
    """The same from Parquet."""
    with pq.ParquetFile(source) as file, pa.ipc.new_file(target, file.schema_arrow) as writer:
        for batch in file.iter_batches(1 << 17, use_threads=False):
            writer.write_batch(batch)


def timed(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def main(rows: int = 2_000_000, repeats: int = 5) -> dict[str, float]:
    """Medians of rows a second by way; prints them with their ratio to the bare loop."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        csv, parquet = make(folder, rows)
        target = folder / "o.arrow"
        ways = {
            "csv bare": lambda: bare_csv(csv, target),
            "csv": lambda: convert(csv, target, overwrite=True, progress=False),
            "csv 2 workers": lambda: convert(csv, target, overwrite=True, workers=2, progress=False),
            "parquet bare": lambda: bare_parquet(parquet, target),
            "parquet": lambda: convert(parquet, target, overwrite=True, progress=False),
        }
        times: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(repeats):  # in turns, so that a slow moment of the machine meets them all
            for way, action in ways.items():
                times[way].append(timed(action))
    found = {way: rows / statistics.median(one) for way, one in times.items()}
    for way, speed in found.items():
        print(f"{way:<14} {speed / 1e6:6.2f} Mrows/s  {speed / found[way.split()[0] + ' bare']:5.2f} of bare")
    return found


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
