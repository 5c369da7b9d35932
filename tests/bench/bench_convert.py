"""Conversion against bare pyarrow loops on the same file, one thread each."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from vaxseq.convert import convert

_STEP = 1 << 18


def tables(rows: int) -> Iterator[pa.Table]:
    """Numbers, repeated and single text, and instants, piece by piece."""
    rng = np.random.default_rng(0)
    for start in range(0, rows, _STEP):
        n = min(_STEP, rows - start)
        yield pa.table({
            "id": np.arange(start, start + n), "k": rng.integers(0, 1000, n), "x": rng.normal(size=n).round(4),
            "y": rng.lognormal(size=n).round(3), "c": pa.array(np.array(["alpha", "beta", "gamma"])[rng.integers(0,
            3, n)]),
            "t": pa.array(np.arange(start, start + n) + 1_356_998_400, pa.timestamp("s")),
            "name": pa.array([f"{one}n" for one in rng.integers(0, 10**9, n)]),
        })  # fmt: skip


def make(folder: Path, rows: int) -> tuple[Path, Path]:
    """The same rows as CSV and as Parquet."""
    csv, parquet = folder / "a.csv", folder / "a.parquet"
    schema = next(tables(1)).schema
    plain = pacsv.WriteOptions(quoting_style="none")
    with pacsv.CSVWriter(csv, schema, write_options=plain) as one, pq.ParquetWriter(parquet, schema) as two:
        for table in tables(rows):
            one.write_table(table)
            two.write_table(table)
    return csv, parquet


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


def vaex_csv(source: Path, target: Path) -> None:
    """vaex's own conversion; it leaves chunks of its own name beside the source."""
    import vaex

    vaex.from_csv(str(source), convert=str(target), chunk_size=1_000_000).close()


def timed(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def main(rows: int = 2_000_000, repeats: int = 5, vaex_rows: int = 500_000) -> dict[str, float]:
    """Medians of rows a second by way; prints them with their ratio to the bare loop."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        csv, parquet = make(folder, rows)
        few = folder / "few"
        few.mkdir()
        small, _ = make(few, vaex_rows)
        target, theirs = folder / "o.arrow", folder / "o.hdf5"
        options = {"overwrite": True, "progress": False}
        ways: dict[str, tuple[Callable[[], object], int, str]] = {
            "csv bare": (lambda: bare_csv(csv, target), rows, ""),
            "csv": (lambda: convert(csv, target, **options), rows, "csv bare"),
            "csv 2 workers": (lambda: convert(csv, target, workers=2, **options), rows, "csv"),
            "parquet bare": (lambda: bare_parquet(parquet, target), rows, ""),
            "parquet": (lambda: convert(parquet, target, **options), rows, "parquet bare"),
            "vaex from_csv": (lambda: vaex_csv(small, theirs), vaex_rows, ""),
            "csv of vaex's size": (lambda: convert(small, theirs, **options), vaex_rows, "vaex from_csv"),
        }
        times: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(repeats):  # in turns, so that a slow moment of the machine meets them all
            for way, (action, _, _) in ways.items():
                theirs.unlink(missing_ok=True)
                times[way].append(timed(action))
    found = {way: count / statistics.median(times[way]) for way, (_, count, _) in ways.items()}
    for way, (_, _, beside) in ways.items():
        ratio = f"{statistics.median(times[beside]) / statistics.median(times[way]):5.2f} of {beside}" if beside else ""
        print(f"{way:<20} {found[way] / 1e6:6.2f} Mrows/s  {ratio}")
    return found


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
