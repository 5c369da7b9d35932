"""Training from a bucket beside training from a local disk: rows a second by order, and bytes fetched over bytes used.

python tests/bench/bench_bucket.py                  # 3 M rows of 20 bytes, 60 MB
python tests/bench/bench_bucket.py --only global    # one order alone
python tests/bench/bench_bucket.py --rows 60000     # does it run?

The bucket is moto's S3 server, a Python process on loopback: what a request costs there is the server's own work, so
the bytes fetched say more than the clock. Each order has a process and a cache folder of its own: an epoch, opening
included, with an empty cache that has room for half of the data, and a second one. Local rates are of the
same files, warm. The blocks that a process holds in memory are an eighth of the data, so that little data shows what
much does; but 8 MB at least, some blocks of each column.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import vaxseq as vs

sys.path.append(str(Path(__file__).resolve().parents[1] / "processes"))
from s3_server import HOST, credentials, s3_server

WIDTH, BATCH = 4, 1024
ROW_BYTES = 4 * WIDTH + 4
ORDERS = {"in order": False, "block": "block", "global": "global"}


def table(rows: int) -> pa.Table:
    rng = np.random.default_rng(0)
    columns = {f"x{number}": rng.random(rows, dtype=np.float32) for number in range(WIDTH)}
    return pa.table({**columns, "y": rng.integers(0, 2, rows).astype(np.int32)})


def epochs(where: str, order: str, cache_bytes: int | None) -> dict[str, Any]:
    """Two epochs: rows a second and bytes fetched, each."""
    from vaxseq.dataset import remote_file

    if cache_bytes:
        remote_file._HELD_BLOCKS = max(32, cache_bytes // (4 * remote_file.CHUNK_BYTES))
    started = time.perf_counter()
    frame = vs.open(where, cache_bytes=cache_bytes)
    inputs = [f"x{number}" for number in range(WIDTH)]
    sequence = vs.Sequence(frame, inputs=inputs, targets="y", batch_size=BATCH, shuffle=ORDERS[order], seed=0)
    found: dict[str, Any] = {"open_s": time.perf_counter() - started, "rows_s": [], "fetched": [], "requests": []}
    total = 0.0
    for epoch in range(2):
        before, started = tuple(remote_file.fetched) if epoch else (0, 0), time.perf_counter()
        for x, _ in sequence:
            total += float(x[0, 0])
        found["rows_s"].append(len(frame) / (time.perf_counter() - started))
        found["fetched"].append((remote_file.fetched[0] - before[0]) / (len(frame) * ROW_BYTES))
        found["requests"].append(remote_file.fetched[1] - before[1])
    return {**found, "sum": total}


def apart(folder: Path, name: str, *arguments: str) -> dict[str, Any]:
    """The same in a process and with a cache of its own."""
    environment = {**os.environ, "VAXSEQ_CACHE": str(folder / name), "KERAS_BACKEND": "jax"}
    command = [sys.executable, __file__, "--one", *arguments]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(rows: int, folder: Path, only: list[str]) -> dict[str, Any]:
    made = table(rows)
    fragment_bytes = max(rows * ROW_BYTES // 16, 1 << 20)
    local = folder / "numbers"
    vs.convert(made, local, fragment_bytes=fragment_bytes, progress=False)
    with s3_server() as port:
        os.environ.update(credentials(f"http://{HOST}:{port}"))
        os.environ["VAXSEQ_SCRATCH"] = str(folder)
        import s3fs

        s3fs.S3FileSystem().mkdir("lake")
        started = time.perf_counter()
        vs.convert(local, "s3://lake/numbers", fragment_bytes=fragment_bytes, progress=False)
        write_s = time.perf_counter() - started
        started = time.perf_counter()
        size = vs.verify("s3://lake/numbers", progress=False).size_bytes
        verify_s = time.perf_counter() - started
        orders = {}
        for order in only:
            here = apart(folder, f"here {order}", str(local), order, "0")
            there = apart(folder, f"there {order}", "s3://lake/numbers", order, str(size // 2))
            assert here["sum"] == there["sum"], f"{order}: the bucket's batches differ"
            orders[order] = {"local": here, "bucket": there}
    return {"rows": rows, "bytes": size, "write_s": write_s, "verify_s": verify_s, "orders": orders}


def said(found: dict[str, Any]) -> str:
    """The table."""
    megabytes = found["bytes"] / 1e6
    told = (
        f"{found['rows']:,} rows, {megabytes:,.0f} MB, cache: half of it. Converted to the bucket in "
        f"{found['write_s']:.1f} s, verified there at {megabytes / found['verify_s']:,.0f} MB/s."
    )
    epoch_cells = ["rows/s", "over local", "fetched / used"]
    headings = ["order", "local rows/s", *(f"{nth} epoch: {cell}" for nth in ("1st", "2nd") for cell in epoch_cells)]
    lines = [told, "", f"| {' | '.join(headings)} |", f"|{'---|' * len(headings)}"]
    for order, one in found["orders"].items():
        here, there = one["local"]["rows_s"], one["bucket"]
        cells = [order, f"{here[1]:,.0f}"]
        for epoch in range(2):
            pace = there["rows_s"][epoch]
            cells += [f"{pace:,.0f}", f"{pace / here[epoch]:.2f}", f"{there['fetched'][epoch]:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--only", nargs="*", choices=ORDERS, default=list(ORDERS), help="orders")
    parser.add_argument("--one", nargs=3, metavar=("WHERE", "ORDER", "CACHE_BYTES"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        where, order, most = given.one
        print(json.dumps(epochs(where, order, int(most) if "://" in where else None)))
        return
    with tempfile.TemporaryDirectory() as folder:
        found = measure(given.rows, Path(folder), given.only)
    print(said(found))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
