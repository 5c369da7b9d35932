"""Fit from a Sequence over fit from arrays in memory, on each backend; and batches by index.

python tests/bench/bench_adapter.py                                  # 1 M rows of 20 float32, batches of 1,024
python tests/bench/bench_adapter.py --before ../vaxseq-before        # beside another checkout of vaxseq

Both kinds of fit are shuffled, and take turns in one process, so that a busy machine slows both: an epoch of arrays, an
epoch of the Sequence, and so on. The figure is the median of the rounds' ratios: above 1 the Sequence is quicker.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

BACKENDS = ("jax", "torch", "tensorflow")
WIDTH, SIZE = 20, 1024


def make(path: Path, rows: int) -> None:
    """The data as a file that vaex maps."""
    import h5py
    import numpy as np

    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file.create_group("table").attrs["type"] = "table"
        for name in [*(f"x{number}" for number in range(WIDTH)), "y"]:
            file[f"table/columns/{name}/data"] = rng.standard_normal(rows, dtype=np.float32)


def run(path: Path, rounds: int, reads: int) -> dict[str, Any]:
    """One backend's figures, in this process."""
    import keras
    import numpy as np

    import vaxseq

    random.seed(0)  # Keras draws its seeds from it; keras.utils.set_random_seed imports TensorFlow, too
    dense = [keras.layers.Dense(64, "relu"), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((WIDTH,)), *dense])
    model.compile("adam", "mse")
    frame = vaxseq.open(str(path))
    names = [f"x{number}" for number in range(WIDTH)]
    x = np.column_stack([frame[name].to_numpy() for name in names])
    y = frame.y.to_numpy()
    data = vaxseq.Sequence(frame, inputs=names, targets="y", batch_size=SIZE, shuffle="global")

    def arrays() -> float:
        start = time.perf_counter()
        model.fit(x, y, batch_size=SIZE, shuffle=True, verbose=0)
        return time.perf_counter() - start

    def ours() -> float:
        start = time.perf_counter()
        model.fit(data, shuffle=False, verbose=0)
        return time.perf_counter() - start

    arrays(), ours()  # compiles
    pairs = [(arrays(), ours()) for _ in range(rounds)]
    indexed = vaxseq.Sequence(frame, inputs=names, targets="y", batch_size=SIZE, shuffle="global")
    batches = len(indexed)
    for number in range(batches):
        indexed[number]
    start = time.perf_counter()
    for number in range(reads):
        indexed[number % batches]
    return {
        "ratio": statistics.median(one / other for one, other in pairs),
        "arrays_s": min(one for one, _ in pairs),
        "sequence_s": min(other for _, other in pairs),
        "reads": reads,
        "reads_s": time.perf_counter() - start,
    }


def main() -> None:
    """Makes the data, runs each backend in a fresh process, before and after in turn, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--reads", type=int, default=10_000)
    parser.add_argument("--before", type=Path, help="another checkout of vaxseq")
    parser.add_argument("--backends", nargs="*", default=list(BACKENDS), choices=BACKENDS)
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(run(options.run, options.rounds, options.reads)))
        return
    here = Path(__file__).resolve().parents[2]
    versions = {"after": here} if options.before is None else {"before": options.before.resolve(), "after": here}
    found: dict[str, Any] = {"load": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory(prefix="vaxseq-bench-") as folder:
        path = Path(folder) / "rows.hdf5"
        make(path, options.rows)
        for backend in options.backends:
            for version, root in versions.items():
                env = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(root), "TF_CPP_MIN_LOG_LEVEL": "3"}
                counts = ["--rounds", str(options.rounds), "--reads", str(options.reads)]
                command = [sys.executable, __file__, "--run", str(path), *counts]
                done = subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True, text=True)
                one = found[f"{backend} {version}"] = json.loads(done.stdout.splitlines()[-1])
                print(
                    f"{backend:10} {version:6} fit over fit(arrays) {one['ratio']:.2f} "
                    f"({one['sequence_s']:.2f} s, arrays {one['arrays_s']:.2f} s); "
                    f"{one['reads']:,} batches by index {one['reads_s']:.2f} s",
                    flush=True,
                )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
