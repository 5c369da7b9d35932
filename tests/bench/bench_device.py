"""The share of a training step that waits for data: batches put on the device ahead, before and after.

python tests/bench/bench_device.py                                            # on a GPU: 1 M rows of 100 float32
python tests/bench/bench_device.py --rows 20000 --size 1024 --rounds 1        # does it run? on any machine

Two networks, a small one and one of 50 million parameters, batches of 8,192 rows, shuffled. An epoch of ``fit`` for
each way of feeding, in turn, round by round, so that a slow moment hits all; the median of the rounds counts. Beside
the clock stands what waits: 1 - (a step on one batch that lies on the device) / (a step). ``device=None`` is before,
Keras copies each batch when its step begins; ``device=`` is after. ``store="device"`` stands beside gathers from
arrays on the device by the backend's own means, and on torch ours beside a DataLoader with workers and pinned memory,
which takes whole batches by index. Without an accelerator the device is the processor: that shows that it runs, and
what it costs.
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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

WIDTH = 100
BACKENDS = ("jax", "torch", "tensorflow")
NETWORKS = {"small": (64, 64), "50 M": (5000, 5000, 5000)}  # hidden layers


def numbers(rows: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    return draw.standard_normal((rows, WIDTH), dtype=np.float32), draw.standard_normal(rows, dtype=np.float32)


class Rows:
    """What a DataLoader's workers take batches out of, by index, in memory that they share."""

    def __init__(self, x: Any, y: Any) -> None:
        self.x, self.y = x, y

    def __getitem__(self, index: list[int]) -> tuple[Any, Any]:
        return self.x[index], self.y[index]

    def __len__(self) -> int:
        return len(self.x)


def network(hidden: tuple[int, ...]) -> Any:
    import keras

    random.seed(0)  # Keras draws its seeds from it; keras.utils.set_random_seed imports TensorFlow, too
    layers = [keras.layers.Dense(width, "relu") for width in hidden]
    model = keras.Sequential([keras.Input((WIDTH,)), *layers, keras.layers.Dense(1)])
    model.compile("adam", "mse")
    return model


def given(batches: int, give: Callable[[int], Any]) -> Any:
    """A PyDataset of so many batches, each given by its number."""
    import keras

    class Given(keras.utils.PyDataset):
        def __init__(self) -> None:
            super().__init__()

        def __len__(self) -> int:
            return batches

        def __getitem__(self, index: int) -> Any:
            return give(index)

    return Given()


def feeds(rows: int, size: int, workers: int, folder: Path, device: str) -> dict[str, Any]:
    """What gives batches, by its name."""
    import keras
    import vaex

    import vaxseq as vs

    x, y = numbers(rows)
    names = [f"x{number:03}" for number in range(WIDTH)]
    frame = vaex.from_arrays(**dict(zip(names, x.T, strict=True)), y=y)
    options = {"inputs": names, "targets": "y", "batch_size": size, "shuffle": "global", "drop_remainder": True}
    packed = {**options, "store": folder / "rows.h5"}
    batches = rows // size
    there = keras.tree.map_structure(keras.ops.convert_to_tensor, (x, y))
    order = np.random.default_rng(0).permutation(rows).astype(np.int32)

    def gathered(index: int) -> Any:
        places = keras.ops.convert_to_tensor(order[index * size : (index + 1) * size])
        return tuple(keras.ops.take(one, places, axis=0) for one in there)

    first = gathered(0)
    made = {
        "one batch on the device": given(batches, lambda index: first),
        "device=None": vs.Sequence(frame, **packed, device=None),
        "device=": vs.Sequence(frame, **packed, device=device),
        "store='device'": vs.Sequence(frame, **{**packed, "store": "device"}, device=device),
        "arrays on the device": given(batches, gathered),
    }
    if keras.backend.backend() == "torch":
        import torch
        from torch.utils.data import BatchSampler, DataLoader, RandomSampler

        shared = Rows(torch.from_numpy(x).share_memory_(), torch.from_numpy(y).share_memory_())
        made["DataLoader, pinned"] = DataLoader(
            shared,
            batch_size=None,
            sampler=BatchSampler(RandomSampler(shared), size, drop_last=True),
            num_workers=workers,
            persistent_workers=workers > 0,
            multiprocessing_context="forkserver" if workers else None,
            pin_memory=torch.cuda.is_available(),
        )
    return made


def run(backend: str, options: argparse.Namespace) -> dict[str, Any]:
    """One backend's figures, in this process."""
    import keras

    works_on = str(keras.ops.zeros(()).device).lower()
    accelerated = any(kind in works_on for kind in ("cuda", "gpu", "tpu"))
    found: dict[str, Any] = {"device": works_on}
    with tempfile.TemporaryDirectory(prefix="vaxseq-bench-") as folder:
        fed = feeds(options.rows, options.size, options.workers, Path(folder), "auto" if accelerated else "cpu:0")
        for name in options.networks:
            model = network(NETWORKS[name])
            steps = options.rows // options.size
            times: dict[str, list[float]] = {feed: [] for feed in fed}
            for turn in range(1 + options.rounds):  # the first compiles, starts workers and fills what is kept
                for feed, data in fed.items():
                    start = time.perf_counter()
                    model.fit(data, verbose=0, **({} if feed.startswith("DataLoader") else {"shuffle": False}))
                    if turn:
                        times[feed].append((time.perf_counter() - start) / steps)
            floor = times["one batch on the device"]
            found[name] = {
                feed: {
                    "step_ms": 1e3 * statistics.median(taken),
                    "waiting": max(
                        0.0, statistics.median(1 - low / one for low, one in zip(floor, taken, strict=True))
                    ),
                }
                for feed, taken in times.items()
            }
    return found


def said(backend: str, found: dict[str, Any]) -> str:
    """The table of one backend."""
    networks = [name for name in NETWORKS if name in found]
    head = "".join(f" {name}: ms a step | waiting |" for name in networks)
    lines = [f"{backend} on {found['device']}", "", f"| way |{head}", f"|---|{'---|---|' * len(networks)}"]
    for feed in found[networks[0]]:
        cells = (f" {found[name][feed]['step_ms']:.2f} | {found[name][feed]['waiting']:.0%} |" for name in networks)
        lines.append(f"| {feed} |{''.join(cells)}")
    return "\n".join([*lines, ""])


def main() -> None:
    """Each backend in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=8192, help="rows of a batch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--workers", type=int, default=max(1, min(8, (os.cpu_count() or 2) - 1)), help="of a DataLoader"
    )
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--backends", nargs="*", default=["jax", "torch"], choices=BACKENDS)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(run(options.backends[0], options)))
        return
    counts = [f"--{name}={getattr(options, name)}" for name in ("rows", "size", "rounds", "workers")]
    found = {}
    for backend in options.backends:
        environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [sys.executable, __file__, "--one", *counts, "--backends", backend, "--networks", *options.networks]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
        found[backend] = json.loads(done.stdout.splitlines()[-1])
        print(said(backend, found[backend]), flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
