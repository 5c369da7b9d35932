"""Batches from a pandas frame (and other tables) beside those from a vaex frame of the same rows, in memory.

python tests/bench/bench_tables.py                   # 2 M rows of 20 numbers and a category, shuffled epochs
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


def seconds_of(train: Any, epochs: int) -> float:
    """Wall time of the batches of some epochs."""
    began = time.perf_counter()
    for _ in range(epochs):
        for _ in train:
            pass
    return time.perf_counter() - began


def measure(rows: int, numbers: int = 20, rounds: int = 7, batch_size: int = 1024) -> Mapping[str, tuple[float, float]]:
    """How fast each kind is as a share of vaex, in its first epoch from the making of the Sequence, and after.

    The median of rounds, each kind in turn within a round; the epochs after the first are timed ten at a time, since
    their rows are at hand and one takes a tenth of a second.
    """
    tables = make_tables(rows, numbers)
    fitted = vs.FeatureSet.from_dict(DEFINITION).fit(tables["vaex"], progress=False)
    first: dict[str, list[float]] = {kind: [] for kind in tables}
    later: dict[str, list[float]] = {kind: [] for kind in tables}
    for number in range(-1, rounds):
        seconds = {}
        for kind in list(tables)[:: 1 if number % 2 else -1]:  # who comes first has the cache as others left it
            began = time.perf_counter()
            train = vs.Sequence(tables[kind], fitted, batch_size=batch_size, shuffle="global", seed=1)
            seconds_of(train, 1)
            seconds[kind] = time.perf_counter() - began, seconds_of(train, 10)
        if number < 0:
            continue  # the first round warms up
        for kind, (its_first, its_later) in seconds.items():
            first[kind].append(seconds["vaex"][0] / its_first)
            later[kind].append(seconds["vaex"][1] / its_later)
    return {kind: (statistics.median(first[kind]), statistics.median(later[kind])) for kind in tables}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    for kind, (first, later) in measure(options.rows, rounds=options.rounds).items():
        print(f"Sequence({kind}): {first:.2f} of Sequence(vaex)'s speed in the first epoch, {later:.2f} after")


if __name__ == "__main__":
    main()
