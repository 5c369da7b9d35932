"""One process for a long time: what memory, open files and threads come to after many epochs, fits and opened frames.

python tests/bench/bench_long_run.py                    # a hundred epochs, 10,000 fits of each kind, 1,000 frames

One loop after another, in the same process. Memory is that of the process alone (no mapped pages), at steps; what grows
is the slope over the second half of the steps. "keras alone" are the same trainings on NumPy arrays in a process of
their own: what grows there isn't ours.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROWS = 4096
FEATURES = {
    "inputs": {
        "x": {
            "features": [
                {"column": "a", "steps": [{"impute": {"strategy": "median"}}, "standardize"]},
                {"column": "b", "steps": [{"quantile": {}}]},
                {"column": "w", "steps": ["one_hot"]},
            ]
        }
    },
    "targets": {"y": {"column": "y"}},
}


def arrays() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "a": rng.normal(size=ROWS), "b": rng.normal(size=ROWS), "y": rng.normal(size=ROWS),
        "w": np.array([f"w{i % 5}" for i in range(ROWS)]),
    }  # fmt: skip


def model_of(width: int) -> Any:
    import keras

    model = keras.Sequential([keras.Input((width,)), keras.layers.Dense(4), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def sequence(folder: Path, **options: Any) -> Any:
    import vaxseq as vs

    return vs.Sequence(vs.open(folder / "d.arrow"), inputs=["a", "b"], targets="y", batch_size=512, **options)


def epochs(folder: Path, count: int) -> Iterator[None]:
    """One Sequence, in another order each time, through a fit of one epoch after another."""
    train, model = sequence(folder, shuffle="global"), model_of(2)
    for epoch in range(count):
        model.fit(train, initial_epoch=epoch, epochs=epoch + 1, verbose=0)
        yield


def trainings(folder: Path, count: int) -> Iterator[None]:
    """A Sequence of its own for each fit of a model."""
    model = model_of(2)
    for _ in range(count):
        model.fit(sequence(folder, rows=slice(0, 1024)), verbose=0)
        yield


def feature_fits(folder: Path, count: int) -> Iterator[None]:
    """A definition fitted, and rows served with it."""
    import vaxseq as vs

    features, frame = vs.FeatureSet.from_dict(FEATURES), vs.open(folder / "d.arrow")
    for _ in range(count):
        fitted = features.fit(frame, progress=False)
        fitted.transform_records({"a": [1.0], "b": [2.0], "w": ["w1"]})
        yield


def frames(folder: Path, count: int) -> Iterator[None]:
    """A dataset of many fragments opened, transformed, split, and a batch of it read."""
    import vaxseq as vs

    fitted = vs.FeatureSet.from_dict(FEATURES).fit(vs.open(folder / "parts"), progress=False)
    for _ in range(count):
        frame = vs.open(folder / "parts")
        fitted.transform(frame)
        part = vs.split(frame, {"train": 0.5, "test": 0.5})["train"]
        vs.Sequence(part, fitted, batch_size=64, where="a > 0").batch(0, 0)
        yield


def epochs_alone(folder: Path, count: int) -> Iterator[None]:
    """The same epochs without vaxseq."""
    given, model = arrays(), model_of(2)
    x = np.stack([given["a"], given["b"]], axis=1)
    for epoch in range(count):
        model.fit(x, given["y"], batch_size=512, initial_epoch=epoch, epochs=epoch + 1, verbose=0)
        yield


def trainings_alone(folder: Path, count: int) -> Iterator[None]:
    """The same fits without vaxseq."""
    given, model = arrays(), model_of(2)
    x = np.stack([given["a"], given["b"]], axis=1)[:1024]
    for _ in range(count):
        model.fit(x, given["y"][:1024], batch_size=512, verbose=0)
        yield


OURS = {"epochs": epochs, "trainings": trainings, "feature fits": feature_fits, "frames": frames}
ALONE = {"epochs, keras alone": epochs_alone, "trainings, keras alone": trainings_alone}


def state() -> dict[str, float]:
    """What this process holds now."""
    from vaxseq.profile.meters import memory_bytes

    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what was given back to the allocator isn't held
    files, threads = (len(os.listdir(f"/proc/self/{one}")) for one in ("fd", "task"))
    return {"memory_mb": memory_bytes() / 1e6, "files": files, "threads": threads}


def walk(jobs: dict[str, Any], folder: Path, counts: dict[str, int], steps: int) -> dict[str, list[dict[str, float]]]:
    """Every loop to its end, and what was held at its steps."""
    found: dict[str, list[dict[str, float]]] = {}
    for name, job in jobs.items():
        count = counts[name.split(",")[0]]
        at = {round(count * step / steps) for step in range(1, steps + 1)}
        found[name] = []
        for done, _ in enumerate(job(folder, count), 1):
            if done in at:
                found[name].append({"done": done, **state()})
                print(name, found[name][-1], file=sys.stderr)
    return found


def grown(rows: list[dict[str, float]]) -> float:
    """MB that a thousand more would take: the slope over the second half."""
    late = rows[len(rows) // 2 :]
    if len(late) < 2:
        return 0.0
    slope: float = np.polyfit([one["done"] for one in late], [one["memory_mb"] for one in late], 1)[0]
    return 1000 * slope


def make(folder: Path) -> None:
    """The data, as one file and as forty fragments."""
    import pandas as pd

    import vaxseq as vs

    data = pd.DataFrame(arrays())
    vs.convert(data, folder / "d.arrow", progress=False)
    for number in range(40):
        vs.convert(data[number * 100 : number * 100 + 100], folder / "parts", append=True, progress=False)


def main() -> None:
    """Prints the table, and all figures as JSON at the end."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--fits", type=int, default=10_000)
    parser.add_argument("--frames", type=int, default=1_000)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--only", nargs="*", choices=list(OURS), default=list(OURS))
    parser.add_argument("--alone", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    counts = {
        "epochs": options.epochs, "trainings": options.fits, "feature fits": options.fits, "frames": options.frames,
    }  # fmt: skip
    if options.alone:
        jobs = {name: job for name, job in ALONE.items() if name.split(",")[0] in options.only}
        print(json.dumps(walk(jobs, options.alone, counts, options.steps)))
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ["VAXSEQ_CACHE"] = f"{folder}/cache"
        make(Path(folder))
        table = walk({name: OURS[name] for name in options.only}, Path(folder), counts, options.steps)
        command = [sys.executable, __file__, *sys.argv[1:], "--alone", folder]
        table |= json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout)
    print(f"{'loop':24} {'done':>7} {'memory MB':>10} {'files':>6} {'threads':>8}")
    for name, rows in table.items():
        for row in rows:
            print(f"{name:24} {row['done']:7,} {row['memory_mb']:10,.1f} {row['files']:6} {row['threads']:8}")
        print(f"{'':24} grows by {grown(rows):.2f} MB a thousand")
    print(json.dumps(table))


if __name__ == "__main__":
    main()
