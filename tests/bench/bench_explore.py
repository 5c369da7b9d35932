"""Exploring a dataset of 12 columns: time and memory, beside pandas' describe and NumPy's histograms.

python tests/bench/bench_explore.py                  # 20 M rows, each contender in a process of its own
python tests/bench/bench_explore.py --rows 100000

The data (1.6 GB at 20 M rows) is written batch by batch to a temporary folder, as one uncompressed Arrow file. Each
contender reads it from there, loading included: we tell of every column the count, missing values, distinct values,
moments, quantiles, a histogram and the commonest values; pandas has describe, value_counts of the texts, and
histograms. It isn't asked for the distinct values of numbers, which would take it several times as long.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from bench_fit import PeakMemory, zipf

FLOATS = [f"x{i}" for i in range(4)]
SKEWED = [f"q{i}" for i in range(2)]
CODES = [f"i{i}" for i in range(2)]
WORDS = [f"s{i}" for i in range(2)]
BATCH_ROWS = 262_144
SHARES = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99]


def make_data(path: Path, rows: int) -> None:
    rng = np.random.default_rng(0)
    words = pa.array([f"word {i:04d}" for i in range(1000)])
    fields = [(name, pa.float64()) for name in FLOATS] + [(name, pa.float32()) for name in SKEWED]
    fields += [(name, pa.int64()) for name in CODES] + [
        (name, pa.dictionary(pa.int32(), pa.string())) for name in WORDS
    ]
    schema = pa.schema([*fields, ("t", pa.timestamp("s")), ("late", pa.bool_())])
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for start in range(0, rows, BATCH_ROWS):
            n = min(BATCH_ROWS, rows - start)
            columns: dict[str, Any] = {name: pa.array(rng.normal(i, 1 + i, n)) for i, name in enumerate(FLOATS)}
            columns["x0"] = pa.array(columns["x0"].to_numpy(), mask=rng.random(n) < 0.05)
            columns |= {name: pa.array(rng.lognormal(0, 1, n).astype(np.float32)) for name in SKEWED}
            columns |= {name: pa.array(zipf(rng, n, 5000) * 17) for name in CODES}
            columns |= {
                name: pa.DictionaryArray.from_arrays(zipf(rng, n, 1000).astype(np.int32), words) for name in WORDS
            }
            columns["t"] = pa.array(np.datetime64("2020-01-01", "s") + start + np.arange(n))
            columns["late"] = pa.array(rng.random(n) < 0.1)
            writer.write_batch(pa.record_batch([columns[field.name] for field in schema], schema=schema))


def ours(path: Path) -> dict[str, Any]:
    import vaxseq as vs

    with PeakMemory() as memory:
        began = time.perf_counter()
        found = vs.explore(path, progress=False)
        histograms = {name: one.histogram() for name, one in found.items() if one.kind != "text"}
        table = found.table
        seconds = time.perf_counter() - began
    assert len(histograms) == 10
    return told(seconds, memory, {"mean_x3": float(table["mean"]["x3"]), "median_q0": float(table["50%"]["q0"])})


def pandas(path: Path) -> dict[str, Any]:
    import pandas as pd

    with PeakMemory() as memory:
        began = time.perf_counter()
        with pa.memory_map(str(path)) as source:
            frame = pa.ipc.open_file(source).read_all().to_pandas()
        numbers = frame[FLOATS + SKEWED + CODES + ["t"]].describe(percentiles=SHARES)
        missing = frame.isna().sum()
        tops = {name: frame[name].value_counts() for name in [*WORDS, "late"]}
        for name in FLOATS + SKEWED + CODES:
            np.histogram(frame[name].dropna(), bins=60)
        np.histogram(frame["t"].astype("int64"), bins=60)
        seconds = time.perf_counter() - began
    assert isinstance(missing, pd.Series)
    assert len(tops) == 3
    return told(seconds, memory, {"mean_x3": numbers["x3"]["mean"], "median_q0": float(numbers["q0"]["50%"])})


def told(seconds: float, memory: PeakMemory, checks: dict[str, float]) -> dict[str, Any]:
    return {"seconds": seconds, "rss_anon_mb": memory.peak_bytes / 2**20, **checks}


CONTENDERS = {"vaxseq": ours, "pandas": pandas}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--worker", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(CONTENDERS[options.worker](options.data)))
        return
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data.arrow"
        make_data(data, options.rows)
        results = {}
        for name in options.only:
            command = [sys.executable, __file__, "--worker", name, "--data", str(data)]
            environment = {**os.environ, "VAXSEQ_CACHE": f"{folder}/cache"}
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, env=environment)
            results[name] = json.loads(done.stdout)
            print(name, done.stdout.strip(), flush=True)
    if len(results) == 2:
        ratio = results["pandas"]["seconds"] / results["vaxseq"]["seconds"]
        print(f"vaxseq is {ratio:.2f} times as fast as pandas, on {options.rows:,} rows")


if __name__ == "__main__":
    main()
