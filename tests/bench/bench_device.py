"""The share of a training step that waits for data: batches put on the device ahead, before and after.

python tests/bench/bench_device.py                                            # on a GPU: 1 M rows of 100 float32
python tests/bench/bench_device.py --rows 20000 --size 1024 --rounds 1        # does it run? on any machine

Two networks, a small one and one of 50 million parameters, batches of 8,192 rows, shuffled. An epoch of ``fit`` for
each way of feeding, in turn, round by round, so that a slow moment hits all; the best of the rounds and their median.
Beside the clock stands what waits: 1 - (a step on one batch that lies on the device) / (a step). One batch at a time
is before: each is read and copied when its step begins; ``device=None`` reads ahead, ``device=`` also has batches on
the device ahead. ``store="device"`` stands beside gathers from arrays on the device by the backend's own means. Of
others, those that are installed (peers.txt): on torch a DataLoader with workers and pinned memory, Grain, tf.data, each
of which takes whole batches by index. Without an accelerator the device is the processor: that shows that it runs, and
what it costs.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

WIDTH = 100
BACKENDS = ("jax", "torch", "tensorflow")
FLOOR = "one batch on the device"
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
        FLOOR: given(batches, lambda index: first),
        "one batch at a time": vs.Sequence(frame, **packed, device=None, read_ahead=0),
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
    if importlib.util.find_spec("grain"):
        made["Grain"] = given(batches, in_turn(lambda: grained(x, y, size)))
    if importlib.util.find_spec("tensorflow"):
        made["tf.data"] = gathers(x, y, size)
    return made


def in_turn(begin: Callable[[], Iterator[Any]]) -> Callable[[int], Any]:
    """Gives what an iterator gives, by number, from a new one with each batch 0."""
    under_way = iter(())

    def give(index: int) -> Any:
        nonlocal under_way
        if index == 0:
            under_way = begin()
        return next(under_way)

    return give


def grained(x: np.ndarray, y: np.ndarray, size: int) -> Iterator[Any]:
    """Grain over batches of rows in a random order, as it reads ahead: in threads."""
    import grain

    class Batches:
        order = np.random.default_rng().permutation(len(x))

        def __len__(self) -> int:
            return len(x) // size

        def __getitem__(self, index: int) -> Any:
            rows = self.order[index * size : (index + 1) * size]
            return np.take(x, rows, axis=0), np.take(y, rows)

    return iter(grain.MapDataset.source(Batches()).to_iter_dataset())


def gathers(x: np.ndarray, y: np.ndarray, size: int) -> Any:
    """tf.data over row numbers, gathered a batch at once, two ahead."""
    import keras
    import tensorflow as tf

    if keras.backend.backend() != "tensorflow":
        tf.config.set_visible_devices([], "GPU")  # it would take all of its memory
    there = tf.constant(x), tf.constant(y)
    rows = tf.data.Dataset.range(len(y)).shuffle(len(y)).batch(size, drop_remainder=True)
    return rows.map(lambda i: tuple(tf.gather(one, i) for one in there), num_parallel_calls=2).prefetch(2)


def run(backend: str, options: argparse.Namespace) -> dict[str, Any]:
    """One backend's figures, in this process."""
    import keras

    works_on = str(keras.ops.zeros(()).device).lower()
    accelerated = any(kind in works_on for kind in ("cuda", "gpu", "tpu"))
    found: dict[str, Any] = {"device": works_on}
    with tempfile.TemporaryDirectory(prefix="vaxseq-bench-") as folder:
        fed = feeds(options.rows, options.size, options.workers, Path(folder), "auto" if accelerated else "cpu:0")
        if options.ways:
            fed = {feed: data for feed, data in fed.items() if feed in (FLOOR, *options.ways)}
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
            floor = times[FLOOR]
            found[name] = {
                feed: {
                    "best_ms": 1e3 * min(taken),
                    "step_ms": 1e3 * statistics.median(taken),
                    "waiting_at_best": max(0.0, 1 - min(floor) / min(taken)),
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
    head = "".join(f" {name}: ms a step, best and median | waiting |" for name in networks)
    lines = [f"{backend} on {found['device']}", "", f"| way |{head}", f"|---|{'---|---|' * len(networks)}"]
    for feed, first in found[networks[0]].items():
        of = (first if name == networks[0] else found[name][feed] for name in networks)
        cells = (
            f" {one['best_ms']:.2f}, {one['step_ms']:.2f} | {one['waiting_at_best']:.0%}, {one['waiting']:.0%} |"
            for one in of
        )
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
    parser.add_argument(
        "--ways", nargs="*", help="some of the table's rows alone; what all are held against comes with"
    )
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
        command += ["--ways", *options.ways] if options.ways else []
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
        found[backend] = json.loads(done.stdout.splitlines()[-1])
        print(said(backend, found[backend]), flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
