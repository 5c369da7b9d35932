"""Batches from a pandas frame (and other tables) beside those from a vaex frame of the same rows, in memory.

python tests/bench/bench_tables.py                   # 2 M rows of 20 numbers and a category, a shuffled epoch each
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import vaex

import vaxseq as vs

DEFINITION = {
    "inputs": {
        "numbers": {"features": [{"pattern": "x*", "steps": [{"impute": {"strategy": "mean"}}, "standardize"]}]},
        "code": {"dtype": "int32", "features": [{"column": "word", "steps": ["vocabulary"]}]},
    },
    "targets": {"y": {"column": "y", "dtype": "float32"}},
}


def make_tables(rows: int, numbers: int) -> dict[str, Any]:
    """The same rows as each kind of table."""
    rng = np.random.default_rng(0)
    columns: dict[str, Any] = {f"x{place}": rng.normal(size=rows) for place in range(numbers)}
    columns["y"] = rng.random(rows)
    words = pa.array(rng.choice(["red", "green", "blue"], rows)).dictionary_encode()
    table = pa.table({**columns, "word": words})
    return {
        "vaex": vaex.from_arrays(**columns, word=words),
        "pandas": pd.DataFrame({**columns, "word": words.to_pandas()}, copy=False),
        "polars": pl.from_arrow(table),
        "arrow": table,
        "dict": {**columns, "word": words},
    }


def epoch_seconds(train: Any) -> float:
    """Time of one epoch's batches."""
    began = time.perf_counter()
    for _ in train:
        pass
    return time.perf_counter() - began


def measure(rows: int, numbers: int = 20, rounds: int = 7, batch_size: int = 1024) -> Mapping[str, float]:
    """How fast each kind's epochs are as a share of vaex's: the median of rounds, each kind in turn within a round."""
    tables = make_tables(rows, numbers)
    fitted = vs.FeatureSet.from_dict(DEFINITION).fit(tables["vaex"], progress=False)
    trains = {
        kind: vs.Sequence(table, fitted, batch_size=batch_size, shuffle="global", seed=1)
        for kind, table in tables.items()
    }
    for train in trains.values():
        epoch_seconds(train)
    ratios: dict[str, list[float]] = {kind: [] for kind in trains}
    for number in range(rounds):
        kinds = list(trains)[:: 1 if number % 2 else -1]  # who comes first has the cache as others left it
        seconds = {kind: epoch_seconds(trains[kind]) for kind in kinds}
        for kind in trains:
            ratios[kind].append(seconds["vaex"] / seconds[kind])
    return {kind: statistics.median(found) for kind, found in ratios.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    for kind, share in measure(options.rows, rounds=options.rounds).items():
        print(f"Sequence({kind}): {share:.2f} of Sequence(vaex)'s speed")


if __name__ == "__main__":
    main()
