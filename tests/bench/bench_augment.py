"""Augmentation of images: one thread, a pool in shared memory, whole batches; and a pool inside ``__getitem__``.

python tests/bench/bench_augment.py                  # a table and the ratios; --json for plain values

Round by round each is made, read and closed in turn, so that none is alive beside another; a ratio is the median of the
rounds' ratios. Beside the clock, processor time counts: of this process and of its children, which a busy machine
changes less.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import image_changes
from image_changes import BATCH, SIDE

# contender, contender before: how many times as fast the first is
RATIOS = (
    ("pool", "one thread"),
    ("pool", "pool in __getitem__"),
    ("pool", "pool in __getitem__, by item"),
    ("whole batches", "pool in __getitem__"),
    ("whole batches, pool", "pool in __getitem__"),
    ("whole batches, pool", "pool in __getitem__, by item"),
    ("Pillow, pool", "Pillow, one thread"),
    ("Pillow, pool", "Pillow, pool in __getitem__"),
    ("Pillow, pool", "Pillow, pool in __getitem__, by item"),
)


def contenders(path: Path, only: str) -> dict[str, Callable[[], Any]]:
    """What makes datasets of the same images, by name."""
    import images  # here, since processes of the pools import this file, and needn't wait for Keras

    moved, pictured, every = image_changes.each_moved, image_changes.each_pictured, image_changes.all_moved
    made: dict[str, Callable[[], Any]] = {
        "one thread": lambda: images.sequence(path, augment=moved, read_ahead=0),
        "threads": lambda: images.sequence(path, augment=moved),
        "pool": lambda: images.sequence(path, augment=moved, augment_workers=2),
        "whole batches": lambda: images.sequence(path, augment=every),
        "whole batches, pool": lambda: images.sequence(path, augment=every, augment_workers=2),
        "pool in __getitem__": lambda: images.Pooled(path),
        "pool in __getitem__, by item": lambda: images.Pooled(path, by_item=True),
        "Pillow, one thread": lambda: images.sequence(path, augment=pictured, read_ahead=0),
        "Pillow, pool": lambda: images.sequence(path, augment=pictured, augment_workers=2),
        "Pillow, pool in __getitem__": lambda: images.Pooled(path, image_changes.send_pictured),
        "Pillow, pool in __getitem__, by item": lambda: images.Pooled(path, image_changes.send_pictured, by_item=True),
    }
    return {
        name: make for name, make in made.items() if only == "all" or name.startswith("Pillow") == (only != "numpy")
    }


def endless(dataset: Any) -> Iterator[Any]:
    """Its batches in turn, epoch after epoch; asking for their number, as Keras does, begins one."""
    while True:
        for index in range(dataset.num_batches):
            yield dataset[index]


def cpu_s() -> float:
    """Processor seconds of this process and the ones it started, those that have ended included."""
    from vaxseq.profile.meters import child_cpu_s

    ended = os.times()
    return time.process_time() + child_cpu_s() + ended.children_user + ended.children_system


def settle() -> None:
    """Waits until what was read ahead is made."""
    end = time.perf_counter() + 30
    while time.perf_counter() < end:
        before = cpu_s()
        time.sleep(0.2)
        if cpu_s() - before < 0.02:
            return


def read(feed: Iterator[Any], batches: int) -> tuple[float, float]:
    """Seconds by the clock and of processors, for an image."""
    start, used = time.perf_counter(), cpu_s()
    for _ in range(batches):
        next(feed)
    count = batches * BATCH
    return (time.perf_counter() - start) / count, (cpu_s() - used) / count


def measure(only: str, rows: int, rounds: int, batches: int) -> dict[str, list[tuple[float, float]]]:
    """For each contender (clock, processor) seconds an image, in each round."""
    import images

    with tempfile.TemporaryDirectory(prefix="vaxseq-bench-") as folder:
        path = Path(folder) / "images.h5"
        images.write(path, rows)
        makers = contenders(path, only)
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in makers}
        for _ in range(rounds):
            for name, make in makers.items():
                dataset = make()
                feed = endless(dataset)
                pooled = isinstance(dataset, images.Pooled)
                read(feed, max(1, batches // 4))  # processes start
                if not pooled:
                    settle()
                    read(feed, batches // 2)  # uses up what lay ready: as much is under way before as after
                found[name].append(read(feed, max(1, batches // 4) if pooled else batches))
                if pooled:
                    dataset.close()
                del feed, dataset
                gc.collect()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20 * BATCH)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=48, help="of each contender in each round; a fourth of a pool's")
    parser.add_argument("--only", choices=["all", "numpy", "pillow"], default="all")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(options.only, options.rows, options.rounds, options.batches)
    ratios = [
        {
            "fast": fast,
            "slow": slow,
            "clock": [b[0] / a[0] for a, b in zip(found[fast], found[slow], strict=True)],
            "cpu": [b[1] / a[1] for a, b in zip(found[fast], found[slow], strict=True)],
        }
        for fast, slow in RATIOS
        if fast in found
    ]
    if options.json:
        print(json.dumps({"seconds": found, "ratios": ratios}))
        return
    print(f"{SIDE} × {SIDE} float32 images, batches of {BATCH}")
    for name, taken in found.items():
        clock, cpu = (statistics.median(one[at] for one in taken) for at in (0, 1))
        print(f"  {name:40} {1 / clock:10,.0f} images/s {1 / cpu:10,.0f} images/CPU-s")
    for one in ratios:
        spread = f"{min(one['clock']):.2f} to {max(one['clock']):.2f}"
        clock, cpu = statistics.median(one["clock"]), statistics.median(one["cpu"])
        print(f"  {one['fast']} : {one['slow']:40} {clock:6.2f}× ({spread}), {cpu:.2f}× per CPU-second")


if __name__ == "__main__":
    main()
