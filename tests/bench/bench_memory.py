"""A pass over data four times as large as the memory allowed, beside a plain sequential read of the same file.

python tests/bench/bench_memory.py                      # 512 MB of memory, 2 GB of data; --limit-mb, --times

Each contender runs in a process of its own, inside a control group whose limit holds for the page cache as well, after
the file was dropped from the cache; opening it is not timed. A store is read from one end to the other, as the plain
read is. Columns lie one behind the other, so that a pass takes a stretch of each in turn: "bare reads" do so, too, and
make nothing of what they read. "not run" where no such group can be made (it takes root, or a delegated group).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cgroup import Group, NoGroupError, limited
from making import made_apart
from rows import COLUMNS, columns_hdf5, evict, once

BAR = 0.7
STRETCH = 65_536
ROW_BYTES = 4 * len(COLUMNS) + 4 + 1
Parts = Iterator[float]  # nothing when it is open, then the bytes of the file that each batch stands for


def plain_read(path: Path, options: argparse.Namespace) -> Parts:
    """``read()`` in large blocks into one buffer: what storage gives."""
    buffer = bytearray(8 << 20)
    with open(path, "rb", buffering=0) as file:
        yield 0
        while count := file.readinto(buffer):
            yield count


def bare_reads(path: Path, options: argparse.Namespace) -> Parts:
    """A stretch of each column in turn, as long as vaxseq's: announced to the kernel, then read into memory in use."""
    import h5py
    import numpy as np

    with h5py.File(path) as file:
        found: list[Any] = []
        file.visititems(lambda _, one: found.append(one) if isinstance(one, h5py.Dataset) else None)
        columns = [(one.id.get_offset(), one.dtype.itemsize) for one in found]
        rows = len(found[0])
    into = [np.empty(STRETCH * width, np.uint8) for _, width in columns]
    descriptor = os.open(path, os.O_RDONLY)
    row_bytes = path.stat().st_size / rows
    yield 0
    for start in range(0, rows, STRETCH):
        count = min(STRETCH, rows - start)
        for offset, width in columns:
            os.posix_fadvise(descriptor, offset + start * width, count * width, os.POSIX_FADV_WILLNEED)
        for (offset, width), place in zip(columns, into, strict=True):
            os.preadv(descriptor, [place[: count * width]], offset + start * width)
        yield row_bytes * count
    os.close(descriptor)


def served(path: Path, options: argparse.Namespace, shuffle: str | bool = False) -> Parts:
    """The columns' file, or the store of it."""
    import vaxseq

    data, store = path.with_name("columns.hdf5"), path if path.name == "store.h5" else None
    sequence = vaxseq.Sequence(
        data, inputs=COLUMNS, targets="y", batch_size=options.batch, shuffle=shuffle, store=store
    )  # type: ignore[call-overload]
    row_bytes = path.stat().st_size / sequence.num_rows
    yield 0
    for number in range(len(sequence)):
        yield row_bytes * len(sequence.batch(0, number)[1])


def shuffled(path: Path, options: argparse.Namespace) -> Parts:
    return served(path, options, "global")


def in_blocks(path: Path, options: argparse.Namespace) -> Parts:
    return served(path, options, "block")


# contender -> what it does, the file it reads, and the plain read that it is beside
CONTENDERS: dict[str, tuple[Callable[[Path, argparse.Namespace], Parts], str, str]] = {
    "plain read of the columns": (plain_read, "columns.hdf5", "plain read of the columns"),
    "bare reads of the columns": (bare_reads, "columns.hdf5", "plain read of the columns"),
    "vaxseq columns, in order": (served, "columns.hdf5", "plain read of the columns"),
    "vaxseq columns, block shuffle": (in_blocks, "columns.hdf5", "plain read of the columns"),
    "vaxseq columns, global shuffle": (shuffled, "columns.hdf5", "plain read of the columns"),
    "plain read of the store": (plain_read, "store.h5", "plain read of the store"),
    "vaxseq store, in order": (served, "store.h5", "plain read of the store"),
    "vaxseq store, block shuffle": (in_blocks, "store.h5", "plain read of the store"),
    "vaxseq store, global shuffle": (shuffled, "store.h5", "plain read of the store"),
}
BARRED = ("vaxseq columns, in order", "vaxseq store, in order")


def one_pass(options: argparse.Namespace) -> dict[str, float]:
    """One contender, in this process, which enters the group first."""
    Group(options.group, options.kind).enter()
    from vaxseq.profile.meters import Usage, memory_bytes

    if not options.one.startswith("plain"):
        import vaxseq.training.sequence  # noqa: F401 - takes seconds, and isn't about the data

    make, name, _ = CONTENDERS[options.one]
    before, most, read = memory_bytes(), 0, 0.0
    parts = make(options.folder / name, options)
    next(parts)
    first, start, cpu = Usage.now(), time.perf_counter(), time.process_time()
    for number, size in enumerate(parts):
        read += size
        if number % 64 == 0:
            most = max(most, memory_bytes())
        if time.perf_counter() - start > options.seconds:
            break
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    return {
        "mb_per_s": read / 1e6 / wall,
        "mb_per_cpu_s": read / 1e6 / cpu,
        "done": read / (options.folder / name).stat().st_size,
        "disk_reads": Usage.now().since(first).disk_bytes / read,
        "rss_anon_mb": (max(most, memory_bytes()) - before) / 1e6,
    }


def measure(options: argparse.Namespace, group: Group) -> dict[str, dict[str, Any]]:
    """Rounds of all contenders, in turn; figures of each, and its pace as a share of the plain read's of its round."""
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in options.only}
    for number in range(options.rounds):
        names = list(rounds)
        for place in range(len(names)):
            name = names[(place + number) % len(names)]
            left = evict([options.folder / "columns.hdf5", options.folder / "store.h5"])
            group.begin()
            command = [sys.executable, __file__, "--one", name, "--folder", str(options.folder), "--kind", group.kind]
            command += ["--group", str(group.folder), "--batch", str(options.batch)]
            command += ["--seconds", str(options.seconds)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            peak = group.peak()
            found = json.loads(done.stdout.splitlines()[-1])
            print(f"{name}: {found['mb_per_s']:.1f} MB/s", file=sys.stderr)
            rounds[name].append(found | {"left_in_cache": left, "group_peak_mb": peak / 1e6 if peak else 0.0})
    table: dict[str, dict[str, Any]] = {}
    for name, measured in rounds.items():
        table[name] = {key: statistics.median(one[key] for one in measured) for key in measured[0]}
        table[name]["shares"] = {
            beside: sorted(a["mb_per_s"] / b["mb_per_s"] for a, b in zip(measured, rounds[beside], strict=True))
            for beside in (CONTENDERS[name][2], "bare reads of the columns")
            if beside in rounds and beside != name and CONTENDERS[beside][1] == CONTENDERS[name][1]
        }
    return table


def make(folder: Path, rows: int) -> None:
    """The columns, and the store of them, unless they are there."""
    import vaxseq

    folder.mkdir(parents=True, exist_ok=True)
    once(folder / "columns.hdf5", rows, columns_hdf5)
    options: dict[str, Any] = {"inputs": COLUMNS, "targets": "y", "progress": False, "overwrite": True}
    once(folder / "store.h5", rows, lambda part, _: vaxseq.materialize(folder / "columns.hdf5", None, part, **options))


def main() -> None:
    """Prints a line a contender, whether the bar is met, and all figures as JSON at the end."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit-mb", type=int, default=512)
    parser.add_argument("--times", type=float, default=4, help="how many times as large the data is")
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60, help="a contender that takes longer is stopped")
    parser.add_argument("--only", nargs="*", choices=list(CONTENDERS), default=list(CONTENDERS))
    parser.add_argument(
        "--folder", type=Path, default=Path("bench-output/memory"), help="on a disk; kept for the next run"
    )
    parser.add_argument("--one", choices=list(CONTENDERS), help=argparse.SUPPRESS)
    parser.add_argument("--group", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--kind", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one_pass(options)))
        return
    size = options.limit_mb * 1_000_000
    try:
        with limited(size) as group:
            made_apart(make, options.folder, int(options.times * size / ROW_BYTES))
            table = measure(options, group)
    except NoGroupError as error:
        print(f"not run: {error}")
        return
    print(f"{options.times:g} times the memory of {options.limit_mb} MB")
    for name, row in table.items():
        memory = f"{row['rss_anon_mb']:.0f} MB of its own, {row['disk_reads']:.2f} bytes read for each"
        print(f"  {name:32} {row['mb_per_s']:7,.1f} MB/s {row['mb_per_cpu_s']:7,.0f} MB/CPU-s  {memory}")
        for beside, shares in row["shares"].items():
            middle = statistics.median(shares)
            met = (
                f", expected {BAR}: {'met' if middle >= BAR else 'NOT MET'}"
                if name in BARRED and beside.startswith("plain")
                else ""
            )
            print(f"  {'':32} {middle:.2f} ({shares[0]:.2f}..{shares[-1]:.2f}) of the {beside}{met}")
        if row["left_in_cache"] > 0.01:
            print(f"  {'':32} not cold: {row['left_in_cache']:.0%} of the files was in memory")
    print(json.dumps({"limit_mb": options.limit_mb, "times": options.times, "table": table}))


if __name__ == "__main__":
    main()
