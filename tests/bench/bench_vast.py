"""10^11 rows in 100,000 fragments: what opening, plans, positions, shards, splits and windows take.

python tests/bench/bench_vast.py                       # 100,000 fragments of a million rows
python tests/bench/bench_vast.py --fragments 300       # does it run?
python tests/bench/bench_vast.py --disk-gb-s 3 --memory-gb 256 --network-gb-s 1.2   # the cost of a scatter there

The dataset lies in a store that answers for each fragment with the bytes of one file, so that all of it can be read.
Times in ms are this process's on the processor, the least of 21, each of another epoch: what else a machine does only
adds to them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa

import vaxseq as vs
from vaxseq.dataset.manifest import Fragment, Manifest
from vaxseq.frame import source_of
from vaxseq.loading.scatter.sizes import Sizes
from vaxseq.plan.plan import BatchPlan
from vaxseq.plan.position import Position
from vaxseq.plan.window import WindowIndex
from vaxseq.split.splitting import rule_of

BATCH = 1024


class PaperStore(fsspec.AbstractFileSystem):
    """``paper://ds``: a manifest, and as many names of one file as it lists."""

    protocol = "paper"
    cachable = False
    names: list[str] = []
    manifest = b""
    fragment = b""

    def _content(self, path: str) -> bytes:
        return self.manifest if path.endswith("manifest.json") else self.fragment

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        return {"name": path, "size": len(self._content(path)), "type": "file", "ETag": "1"}

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        size = len(self.fragment)
        return [{"name": f"{path}/{name}", "size": size, "type": "file", "ETag": "1"} for name in self.names]

    def cat_ranges(self, paths: Any, starts: Any, ends: Any, **_: Any) -> list[bytes]:
        return [self._content(path)[low:high] for path, low, high in zip(paths, starts, ends, strict=True)]


def lay_out(fragments: int, rows: int, folder: Path) -> None:
    """One real fragment, and a manifest of many."""
    rng = np.random.default_rng(0)
    table = pa.table({"x": rng.random(rows, dtype=np.float32), "y": rng.integers(0, 2, rows).astype(np.int8)})
    made = vs.convert(table, folder / "ds", progress=False)
    PaperStore.fragment = (folder / "ds" / made.fragments[0].path).read_bytes()
    PaperStore.names = [f"part-{number:05d}.arrow" for number in range(fragments)]
    size = len(PaperStore.fragment)
    named = tuple(Fragment(name, rows, size) for name in PaperStore.names)
    many = replace(made, fragments=named, n_rows=fragments * rows, ranges={})
    PaperStore.manifest = json.dumps(many.to_dict(), indent=1).encode()
    fsspec.register_implementation("paper", PaperStore, clobber=True)


def least_ms(act: Callable[[int], object], times: int = 21) -> float:
    took = []
    for number in range(times):
        started = time.process_time()
        act(number)
        took.append(time.process_time() - started)
    return min(took) * 1e3


def held_mb() -> float:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def opened() -> tuple[Any, dict[str, float]]:
    started, worked = time.perf_counter(), time.process_time()
    frame = vs.open("paper://ds", cache_bytes=0)
    open_s, open_cpu_s, open_mb = time.perf_counter() - started, time.process_time() - worked, held_mb()
    worked = time.process_time()
    Manifest.from_dict(json.loads(PaperStore.manifest), "paper://ds")
    return frame, {
        "open_s": open_s, "open_cpu_s": open_cpu_s, "manifest_cpu_s": time.process_time() - worked, "peak_mb": open_mb,
        "manifest_mb": len(PaperStore.manifest) / 1e6,
    }  # fmt: skip


def orders(rows: int) -> dict[str, dict[str, float]]:
    """A batch's row numbers, and the way back from a saved position, by order and number of ranks."""
    found = {}
    for shuffle in (False, "global", "block"):
        for ranks in (1, 64):
            plan = BatchPlan(rows, BATCH, shuffle=shuffle, seed=1, shard_index=ranks - 1, shard_count=ranks)
            far = plan.num_batches // 2

            def resumed(epoch: int, plan: BatchPlan = plan, far: int = far) -> None:
                saved = json.dumps(Position.after(plan, 1 + epoch, far).to_dict())
                fresh = replace(plan, shard_index=0)
                at, rest = Position.from_dict(json.loads(saved)).resume(fresh)
                rest.positions(at, 0)

            batch_ms = least_ms(lambda number, plan=plan, far=far: plan.positions(0, far + number))
            found[f"{shuffle or 'in order'}, {ranks} rank{'s' * (ranks > 1)}"] = {
                "batch_ms": batch_ms, "resume_ms": least_ms(resumed)
            }  # fmt: skip
    return found


def windows(rows: int) -> dict[str, float]:
    """Windows of 128 rows over a million series."""
    series = max(1, min(1_000_000, rows // 1000))
    edges = np.linspace(0, rows, series + 1).astype(np.int64)
    started = time.perf_counter()
    index = WindowIndex(edges[:-1], np.diff(edges), length=128, stride=64)
    made_s = time.perf_counter() - started
    plan = BatchPlan(index.n, BATCH, shuffle="global")
    batch_ms = least_ms(lambda number: index.windows(plan.positions(0, number).positions))
    return {"windows": index.n, "made_s": made_s, "batch_ms": batch_ms}


def sequences(frame: Any) -> dict[str, float]:
    """The same through a Sequence, rows of several fragments fetched."""
    found = {}
    vs.Sequence({"x": [1.0], "y": [1]}, inputs=["x"], targets="y", batch_size=1)  # what is imported once
    for name, shuffle in (("in order", False), ("block", "block")):
        started = time.perf_counter()
        train = vs.Sequence(frame, inputs=["x"], targets="y", batch_size=BATCH, shuffle=shuffle, seed=1, read_ahead=0)
        found[f"{name}: made_ms"] = (time.perf_counter() - started) * 1e3
        place = train.position()
        far = {**place, "epoch": 3, "item": len(train) // 2 * BATCH}
        started = time.perf_counter()
        train.seek(far)
        found[f"{name}: seek_ms"] = (time.perf_counter() - started) * 1e3
        found[f"{name}: row_ids_ms"] = least_ms(lambda number, train=train: train.row_ids(number, 3))
        started = time.perf_counter()
        train.batch(3, 7)
        found[f"{name}: first_batch_ms"] = (time.perf_counter() - started) * 1e3
    source = source_of(frame)
    rule, _, _ = rule_of(source, {"train": 0.9, "test": 0.1}, "hash", ("x",), 0, None, None, None)
    block = source.read(["x"], 0, BATCH)
    found["hash split of a batch_ms"] = least_ms(lambda _: rule.parts(block))
    return found


def scatter_cost(rows: int, record_bytes: int, disk_gb_s: float, memory_gb: float, network_gb_s: float) -> str:
    """What ordering all rows on a local disk takes: read once from the network, written once, read once in pieces.

    A bucket's rows are shuffled in memory, so that there are as many buckets as make one fit; each is written in pieces
    of what memory holds over their number, which a disk takes at its pace as long as they are large.
    """
    size = rows * record_bytes
    sizes = Sizes.of(rows, record_bytes, int(memory_gb * 1e9))
    write_s, load_s, fetch_s = size / disk_gb_s / 1e9, size / disk_gb_s / 1e9, size / network_gb_s / 1e9
    buckets = -(-rows // sizes.bucket_rows)
    first_h = max(fetch_s, write_s) / 3600
    return (
        f"scatter of {rows:,} rows of {record_bytes} bytes: {size / 1e12:,.1f} TB of scratch in {buckets:,} buckets of "
        f"{sizes.bucket_rows * record_bytes / 1e9:,.2f} GB; with {disk_gb_s} GB/s of disk, {memory_gb} GB of memory "
        f"and {network_gb_s} GB/s of network the first batch comes after {first_h:,.1f} h, an epoch's rows then at "
        f"{rows / load_s:,.0f} rows/s, and a later epoch's too"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fragments", type=int, default=100_000)
    parser.add_argument("--fragment-rows", type=int, default=1_000_000)
    parser.add_argument("--record-bytes", type=int, default=80, help="of a row, as it is scattered")
    parser.add_argument("--disk-gb-s", type=float, default=2.0)
    parser.add_argument("--memory-gb", type=float, default=64.0)
    parser.add_argument("--network-gb-s", type=float, default=1.0)
    given = parser.parse_args()
    rows = given.fragments * given.fragment_rows
    with tempfile.TemporaryDirectory() as folder:
        os.environ["VAXSEQ_CACHE"] = folder
        os.environ.setdefault("KERAS_BACKEND", "jax")
        lay_out(given.fragments, given.fragment_rows, Path(folder))
        frame, opening = opened()
        found = {
            "rows": rows, "opening": opening, "orders": orders(rows), "windows": windows(rows),
            "sequences": sequences(frame),
        }  # fmt: skip
    print(f"{rows:,} rows in {given.fragments:,} fragments")
    print(", ".join(f"{name} {value:,.2f}" for name, value in opening.items()))
    print("| order | batch's rows, ms | resume, ms |\n|---|---|---|")
    for name, one in found["orders"].items():
        print(f"| {name} | {one['batch_ms']:.3f} | {one['resume_ms']:.2f} |")
    print(", ".join(f"{name} {value:,.3f}" for name, value in found["windows"].items()))
    print(", ".join(f"{name} {value:,.2f}" for name, value in found["sequences"].items()))
    print(scatter_cost(rows, given.record_bytes, given.disk_gb_s, given.memory_gb, given.network_gb_s))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
