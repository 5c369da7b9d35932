"""Conversion against bare pyarrow loops on the same file, one thread each."""

from __future__ import annotations

import shutil
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
    """vaex's own conversion, as it is by default; it leaves files of its own beside the target."""
    import vaex

    vaex.from_csv(str(source), convert=str(target)).close()


def timed(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def main(rows: int = 14_000_000, repeats: int = 3) -> dict[str, float]:
    """Medians of rows a second by way; prints them with their ratio to the way that they stand beside."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        csv, parquet = make(folder, rows)
        target, theirs = folder / "o.arrow", folder / "theirs" / "o.arrow"
        options = {"progress": False}
        ways: dict[str, Callable[[], object]] = {
            "csv bare": lambda: bare_csv(csv, target),
            "csv": lambda: convert(csv, target, **options),
            "csv 2 workers": lambda: convert(csv, target, workers=2, **options),
            "parquet bare": lambda: bare_parquet(parquet, target),
            "parquet": lambda: convert(parquet, target, **options),
            "vaex from_csv": lambda: vaex_csv(csv, theirs),
        }
        times: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(repeats):  # in turns, so that a slow moment of the machine meets them all
            for way, action in ways.items():
                shutil.rmtree(theirs.parent, ignore_errors=True)
                theirs.parent.mkdir()
                target.unlink(missing_ok=True)  # to give a file's memory back takes time, too
                times[way].append(timed(action))
    medians = {way: statistics.median(found) for way, found in times.items()}
    for way, beside in (
        ("csv bare", ""), ("csv", "csv bare"), ("csv 2 workers", "csv"), ("parquet bare", ""),
        ("parquet", "parquet bare"), ("vaex from_csv", ""), ("csv", "vaex from_csv"),
    ):  # fmt: skip
        ratio = f"{medians[beside] / medians[way]:5.2f} of {beside}" if beside else ""
        print(f"{way:<20} {rows / medians[way] / 1e6:6.2f} Mrows/s  {ratio}")
    return {way: rows / median for way, median in medians.items()}


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
