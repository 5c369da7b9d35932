"""Orders of data larger than memory: rows a second in a memory group, cold, beside a plain read and the idea in a page.

python tests/bench/bench_any_order.py                # 30 M rows of 20 float32 and a label in 1 GB; --rows, --limit-mb

Each contender is a process of its own in a control group whose limit holds for the page cache as well; its files were
dropped from the cache before, opening isn't timed. "not run" where no such group can be made (it takes root).
``--sizes`` tells time per row over data/memory instead: the same rows under seven limits.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from any_order_peers import PEERS, rows_file
from cgroup import Group, NoGroupError, limited
from making import made_apart
from rows import COLUMNS, arrow_stream, columns_hdf5, evict, once

ROW_BYTES = 4 * len(COLUMNS) + 4
WINDOW, STRIDE = 64, 16
FILES = ("columns.hdf5", "store.h5", "rows.f32", "rows.arrow")
PATIENCE_S = 60
SIZES = (0.5, 0.8, 1, 1.2, 1.5, 2, 4)
Figures = dict[str, Any]


def plain_read(options: argparse.Namespace) -> Figures:
    """``read()`` in large blocks into one buffer: what storage gives; the rows' bytes only."""
    buffer, left, begun = bytearray(8 << 20), options.rows * ROW_BYTES, time.perf_counter()
    with open(options.folder / "columns.hdf5", "rb", buffering=0) as file:
        while left > 0 and (count := file.readinto(buffer)):
            os.posix_fadvise(file.fileno(), 0, file.tell(), os.POSIX_FADV_DONTNEED)
            left -= count
    return {"rows_s": options.rows / (time.perf_counter() - begun)}


def served(options: argparse.Namespace, **asked: Any) -> Figures:
    """An epoch in turn, and the one after it."""
    import vaxseq

    store = options.folder / "store.h5" if asked.pop("stored", False) else None
    each = asked.pop("each", 1)
    sequence = vaxseq.Sequence(
        options.folder / "columns.hdf5", inputs=COLUMNS, targets="y", batch_size=options.batch, store=store, **asked
    )
    found: Figures = {"way": str(sequence._pipeline.way(sequence._plan))}
    for epoch, name in ((0, "first_epoch"), (1, "rows_s")):
        begun, rows, cpu = time.perf_counter(), 0, time.process_time()
        sequence._epochs.whole.loader.expect(epoch, 0)  # as a fit does: nothing is gathered before the scatter
        for number in range(len(sequence)):
            rows += len(sequence.batch(epoch, number)[1]) * each
            if number in (0, 4):
                found["first_batch_s" if number == 0 else "fifth_batch_s"] = found.get(
                    "first_batch_s" if number == 0 else "fifth_batch_s", time.perf_counter() - begun
                )
            if time.perf_counter() - begun > options.seconds:
                break
        found[name] = rows / (time.perf_counter() - begun)
        found["cpu_ns"] = (time.process_time() - cpu) / rows * 1e9
        if rows < options.rows / 2:
            break
    found.setdefault("rows_s", found["first_epoch"])
    return found


def prototype(options: argparse.Namespace) -> Figures:
    """The idea in a page: scatter, serve and scatter, serve."""
    page = Path(os.environ["VAXSEQ_PROTOTYPE"])
    done = subprocess.run(
        [sys.executable, page, options.folder, str(options.rows / 1e6)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        preexec_fn=Group(options.group, options.kind).enter,
    )
    told = json.loads(done.stdout)
    return {
        "rows_s": told["serve and scatter"]["rows_s"],
        "first_epoch": told["serve"]["rows_s"],
        "first_batch_s": options.rows / told["scatter"]["rows_s"],
        "plain_rows_s": told["bytes_s"] / ROW_BYTES,
        "rss_anon_mb": told["anonymous_mb"],
        "way": "exact" if told["exact"] else "NOT EXACT",
    }


def windows(options: argparse.Namespace) -> Figures:
    import vaxseq

    return served(options, shuffle="global", window=vaxseq.Window(WINDOW, stride=STRIDE), each=STRIDE)


CONTENDERS: dict[str, Callable[[argparse.Namespace], Figures]] = {
    "plain read": plain_read,
    "prototype": prototype,
    "columns, in order": lambda options: served(options, shuffle=False),
    "columns, block": lambda options: served(options, shuffle="block"),
    "columns, global": lambda options: served(options, shuffle="global"),
    "store, in order": lambda options: served(options, shuffle=False, stored=True),
    "store, block": lambda options: served(options, shuffle="block", stored=True),
    "store, global": lambda options: served(options, shuffle="global", stored=True),
    "windows, global": windows,
    **PEERS,
}


def one_run(options: argparse.Namespace) -> Figures:
    """One contender, in this process, which enters the group first."""
    if options.one != "prototype":  # it enters by itself: this process's memory would be missing for it
        Group(options.group, options.kind).enter()
    from vaxseq.profile.meters import memory_bytes

    if options.one not in ("plain read", "prototype"):
        import vaxseq.training.sequence  # noqa: F401 - takes seconds, and isn't about the data
    peak, done = [memory_bytes()], False

    def watch() -> None:
        while not done:
            peak.append(memory_bytes())
            time.sleep(0.05)

    import threading

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        found = CONTENDERS[options.one](options)
    finally:
        done = True
        watcher.join()
    return {"rss_anon_mb": max(peak) / 1e6, "before_mb": peak[0] / 1e6} | found


def measure(options: argparse.Namespace, group: Group) -> dict[str, Figures]:
    """Each contender in turn."""
    table: dict[str, Figures] = {}
    for name in options.only:
        evict([options.folder / one for one in FILES if (options.folder / one).exists()])
        group.begin()
        command = [sys.executable, __file__, "--one", name, "--folder", str(options.folder), "--kind", group.kind]
        command += ["--group", str(group.folder), "--batch", str(options.batch), "--rows", str(options.rows)]
        command += ["--seconds", str(options.seconds), "--limit-mb", str(options.limit_mb)]
        environment = os.environ | {"VAXSEQ_SCRATCH": str(options.folder)}
        if name in PEERS:
            table[name] = attempt(command, environment, options.seconds + PATIENCE_S)
        elif options.sizes:  # one that fails is not to take the others' figures with it
            table[name] = attempt(command, environment, 2 * options.seconds + PATIENCE_S)
        else:
            table[name] = of_child(command, environment)
        peak = group.peak()
        table[name]["group_peak_mb"] = peak / 1e6 if peak else 0.0
        print(line(name, table[name], table), file=sys.stderr)
    return table


def of_child(command: list[str], environment: dict[str, str], limit_s: float | None = None) -> Figures:
    """What a contender in a process of its own prints last."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment, timeout=limit_s)
    found: Figures = json.loads(done.stdout.splitlines()[-1])
    return found


def attempt(command: list[str], environment: dict[str, str], limit_s: float) -> Figures:
    """The same of one that may need more memory than there is, or too long to begin."""
    failed = {"rows_s": math.nan, "rss_anon_mb": math.nan}
    try:
        return of_child(command, environment, limit_s)
    except subprocess.CalledProcessError as error:
        return failed | {"way": f"ended by {error.returncode}"}
    except subprocess.TimeoutExpired:
        return failed | {"way": f"nothing in {limit_s:.0f} s"}


def line(name: str, row: Figures, table: dict[str, Figures]) -> str:
    """A row of the table."""
    text = f"{name:20} {row['rows_s'] / 1e6:8.3f} M rows/s"
    if "plain read" in table:
        text += f" {row['rows_s'] / table['plain read']['rows_s']:6.2f} of a plain read"
    if "first_epoch" in row:
        text += f", first epoch {row['first_epoch'] / 1e6:.3f}"
    if "first_batch_s" in row:
        text += f", first batch {row['first_batch_s']:.2f} s"
    if "fifth_batch_s" in row:
        text += f", fifth {row['fifth_batch_s']:.2f} s"
    if "cpu_ns" in row:
        text += f", {row['cpu_ns']:.0f} ns of CPU a row"
    return (
        text + f", {row['rss_anon_mb']:.0f} MB anonymous ({row.get('before_mb', 0):.0f} before); {row.get('way', '')}"
    )


def by_size(options: argparse.Namespace) -> None:
    """Time per row where the rows are half of the memory to four times as much, and its largest step."""
    make(options.folder, options.rows, options.only)
    found: dict[str, list[float]] = {name: [] for name in options.only}
    for times in options.times:
        size = int(options.rows * ROW_BYTES / times)
        options.limit_mb = size >> 20
        with limited(size) as group:
            print(f"{options.rows:,} rows, {times:g} times the memory of {options.limit_mb} MB", file=sys.stderr)
            for name, row in measure(options, group).items():
                found[name].append(row["rows_s"])
    for name, paces in found.items():
        steps = [max(a / b, b / a) for a, b in pairwise(paces)]
        shown = ", ".join(f"{times:g}: {pace / 1e6:.2f}" for times, pace in zip(options.times, paces, strict=True))
        step = max(steps, default=1)
        print(f"{name:20} M rows/s by data/memory {shown}; all {max(paces) / min(paces):.1f}, a step {step:.1f}")
    print(json.dumps({"rows": options.rows, "sizes": options.times, "rows_s": found}))


def make(folder: Path, rows: int, names: list[str]) -> None:
    """The files that these contenders read, unless they are there."""
    import vaxseq

    folder.mkdir(parents=True, exist_ok=True)
    once(folder / "columns.hdf5", rows, columns_hdf5)
    if any(name in PEERS for name in names):
        once(folder / "rows.f32", rows, rows_file)
    if "HF datasets, shuffled" in names:
        once(folder / "rows.arrow", rows, arrow_stream)
    if any("store" in name for name in names):
        options: dict[str, Any] = {"inputs": COLUMNS, "targets": "y", "progress": False, "overwrite": True}
        source = folder / "columns.hdf5"
        once(folder / "store.h5", rows, lambda part, _: vaxseq.materialize(source, None, part, **options))


def main() -> None:
    """Prints a line a contender and all figures as JSON at the end."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit-mb", type=int, default=1024)
    parser.add_argument("--rows", type=int, default=30_000_000)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--seconds", type=float, default=60, help="an epoch that takes longer is stopped")
    parser.add_argument("--only", nargs="*", choices=list(CONTENDERS), default=None)
    parser.add_argument("--times", type=float, nargs="*", default=SIZES, help="data/memory of --sizes")
    parser.add_argument("--sizes", action="store_true", help="time per row over data/memory")
    parser.add_argument("--folder", type=Path, default=Path("bench-output/any-order"), help="on a disk; kept")
    parser.add_argument("--one", choices=list(CONTENDERS), help=argparse.SUPPRESS)
    parser.add_argument("--group", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--kind", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one_run(options)))
        return
    if options.only is None:
        options.only = [one for one in CONTENDERS if one != "prototype" or "VAXSEQ_PROTOTYPE" in os.environ]
    try:
        if options.sizes:
            by_size(options)
            return
        with limited(options.limit_mb << 20) as group:
            made_apart(make, options.folder, options.rows, options.only)
            table = measure(options, group)
    except NoGroupError as error:
        print(f"not run: {error}")
        return
    print(f"{options.rows:,} rows of {ROW_BYTES} bytes in {options.limit_mb} MB")
    for name, row in table.items():
        print("  " + line(name, row, table))
    print(json.dumps({"limit_mb": options.limit_mb, "rows": options.rows, "table": table}))


if __name__ == "__main__":
    main()
