"""Fit of 20 standardized, 10 vocabulary and 10 quantile features: time and memory, beside scikit-learn and Keras.

python tests/bench/bench_fit.py                  # 10 M rows, each contender in a process of its own
python tests/bench/bench_fit.py --rows 100000 --keras-rows 20000

The data (about 3 GB at 10 M rows) is written batch by batch to a temporary folder. FeatureSpace, more than a
thousand times slower, gets ``--keras-rows`` of the same rows; rates are per row. Normalization knows the 20
standardized columns only, so it stands beside a fit of these alone.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa

STANDARD = [f"x{i}" for i in range(20)]
WORDS = [f"s{i}" for i in range(5)]
CODES = [f"i{i}" for i in range(5)]
SKEWED = [f"q{i}" for i in range(10)]
BATCH_ROWS = 262_144
REFERENCES = 1000


def make_data(path: Path, rows: int) -> None:
    """One uncompressed Arrow file."""
    rng = np.random.default_rng(0)
    vocabulary = np.array([f"word {i:04d}" for i in range(1000)], dtype=object)
    fields = [(name, pa.float64()) for name in STANDARD + SKEWED]
    fields += [(name, pa.string()) for name in WORDS] + [(name, pa.int64()) for name in CODES]
    schema = pa.schema(fields)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for start in range(0, rows, BATCH_ROWS):
            n = min(BATCH_ROWS, rows - start)
            columns: dict[str, Any] = {name: rng.normal(i, 1 + i, n) for i, name in enumerate(STANDARD)}
            columns |= {name: rng.lognormal(0, 1 + i / 5, n) for i, name in enumerate(SKEWED)}
            columns |= {name: pa.array(vocabulary[zipf(rng, n, 1000)], pa.string()) for name in WORDS}
            columns |= {name: zipf(rng, n, 5000) * 17 for name in CODES}
            writer.write_batch(pa.record_batch([pa.array(columns[name], kind) for name, kind in fields], schema=schema))


def zipf(rng: np.random.Generator, n: int, values: int) -> np.ndarray:
    """Codes whose frequency falls as one over their rank."""
    return np.minimum(values ** rng.random(n), values - 1).astype(np.int64)


class PeakMemory:
    """The greatest RssAnon of this process, sampled: mapped file pages aren't ours."""

    def __enter__(self) -> Self:
        self.peak_bytes, self._done = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            line = next(
                line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon")
            )
            self.peak_bytes = max(self.peak_bytes, int(line.split()[1]) * 1024)


ALL_STEPS = [
    (STANDARD, "standardize"),
    (WORDS + CODES, "vocabulary"),
    (SKEWED, {"quantile": {"references": REFERENCES}}),
]


def ours(path: Path, rows: int, steps: list[tuple[list[str], Any]] = ALL_STEPS) -> dict[str, Any]:
    """vaxseq, out of core."""
    from vaxseq.expressions import parse
    from vaxseq.features.learning.fit import fit_features
    from vaxseq.features.learning.fit_plan import Chain, FitPlan
    from vaxseq.features.transforms import parse_step
    from vaxseq.frame import open, source_of

    chains = [Chain(name, parse(name), (parse_step(step, name),)) for names, step in steps for name in names]
    source = source_of(open(str(path)))
    with PeakMemory() as memory:
        start = time.perf_counter()
        result = fit_features(FitPlan(tuple(chains)), source, progress=False)
        seconds = time.perf_counter() - start
    return {"rows": result.rows, "scans": result.scans, "seconds": seconds, "rss_anon_mb": memory.peak_bytes / 2**20,
            "mean_x3": result.of("x3")[0]["mean"]}  # fmt: skip


def scikit_learn(path: Path, rows: int) -> dict[str, Any]:
    """scikit-learn on arrays in memory; loading them isn't counted."""
    from sklearn.preprocessing import OrdinalEncoder, QuantileTransformer, StandardScaler

    parts = [
        ("StandardScaler", StandardScaler(), STANDARD),
        ("OrdinalEncoder text", OrdinalEncoder(), WORDS),
        ("OrdinalEncoder int", OrdinalEncoder(), CODES),
        ("QuantileTransformer", QuantileTransformer(n_quantiles=REFERENCES, subsample=None), SKEWED),
    ]
    found: dict[str, Any] = {"rows": rows, "seconds": 0.0}
    for name, transformer, columns in parts:
        with pa.memory_map(str(path)) as file:
            table = pa.ipc.open_file(file).read_all().select(columns).slice(0, rows)
            matrix = np.empty((len(table), len(columns)), dtype=object if columns is WORDS else None)
            for place, column in enumerate(columns):
                matrix[:, place] = (
                    table.column(column).to_numpy()
                    if columns is not WORDS
                    else np.array(table.column(column).to_pylist(), object)
                )
            if columns is CODES:
                matrix = matrix.astype(np.int64)
            del table
        start = time.perf_counter()
        transformer.fit(matrix)
        found[f"seconds {name}"] = time.perf_counter() - start
        found["seconds"] += found[f"seconds {name}"]
    return found


def keras_feature_space(path: Path, rows: int) -> dict[str, Any]:
    """keras.utils.FeatureSpace.adapt: normalized floats, string and integer categories, discretized floats."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import tensorflow as tf
    from keras.utils import FeatureSpace

    with pa.memory_map(str(path)) as file:
        table = pa.ipc.open_file(file).read_all().slice(0, rows)
        arrays = {name: table.column(name).to_numpy() for name in STANDARD + CODES + SKEWED}
        arrays |= {name: np.array(table.column(name).to_pylist()) for name in WORDS}
    features: dict[str, Any] = {name: FeatureSpace.float_normalized() for name in STANDARD}
    features |= {name: FeatureSpace.string_categorical(output_mode="int") for name in WORDS}
    features |= {name: FeatureSpace.integer_categorical(output_mode="int") for name in CODES}
    features |= {name: FeatureSpace.float_discretized(num_bins=REFERENCES, output_mode="int") for name in SKEWED}
    space = FeatureSpace(features, output_mode="dict")
    data = tf.data.Dataset.from_tensor_slices(arrays).batch(65_536)
    start = time.perf_counter()
    space.adapt(data)
    return {"rows": rows, "seconds": time.perf_counter() - start}


def ours_standardize(path: Path, rows: int) -> dict[str, Any]:
    """vaxseq, out of core, the 20 standardized features alone."""
    return ours(path, rows, ALL_STEPS[:1])


def keras_normalization(path: Path, rows: int) -> dict[str, Any]:
    """keras.layers.Normalization.adapt of 20 columns: from a dataset of batches of 1,024 rows (bounded memory)."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras
    import tensorflow as tf

    with pa.memory_map(str(path)) as file:
        table = pa.ipc.open_file(file).read_all().select(STANDARD).slice(0, rows)
        matrix = np.empty((len(table), len(STANDARD)), dtype=np.float32)
        for place, name in enumerate(STANDARD):
            matrix[:, place] = table.column(name).to_numpy()
    start = time.perf_counter()
    keras.layers.Normalization().adapt(matrix)
    in_memory = time.perf_counter() - start
    with tf.device("/CPU:0"):
        data = tf.data.Dataset.from_tensor_slices(matrix).batch(1024)
    start = time.perf_counter()
    keras.layers.Normalization().adapt(data)
    return {"rows": rows, "seconds": time.perf_counter() - start, "seconds whole array in memory": in_memory}


CONTENDERS: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    "vaxseq": ours,
    "scikit-learn": scikit_learn,
    "keras FeatureSpace": keras_feature_space,
    "vaxseq standardize": ours_standardize,
    "keras Normalization": keras_normalization,
}
BESIDE = {"scikit-learn": "vaxseq", "keras FeatureSpace": "vaxseq", "keras Normalization": "vaxseq standardize"}


def main() -> None:
    """Makes the data, runs each contender in a fresh process, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--keras-rows", type=int, default=10_000)
    parser.add_argument("--only", nargs="*", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--run", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help="use this file, made if it isn't there, and keep it")
    options = parser.parse_args()
    if options.run:
        print(json.dumps(CONTENDERS[options.run](options.data, options.rows)))
        return
    with tempfile.TemporaryDirectory(prefix="vaxseq-bench-") as folder:
        path = options.data or Path(folder) / "rows.arrow"
        if not path.exists():
            make_data(path, options.rows)
        results = {}
        for name in options.only:
            rows = min(options.keras_rows, options.rows) if name == "keras FeatureSpace" else options.rows
            command = [sys.executable, __file__, "--run", name, "--data", str(path), "--rows", str(rows)]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
            results[name] = json.loads(done.stdout.splitlines()[-1])
            print(name, json.dumps(results[name]), flush=True)
    for theirs, mine in BESIDE.items():
        if theirs in results and mine in results:
            rates = [results[name]["seconds"] / results[name]["rows"] for name in (theirs, mine)]
            print(f"{mine} is {rates[0] / rates[1]:.1f} times as fast as {theirs}, per row")


if __name__ == "__main__":
    main()
