"""Convert (CSV to Arrow) and fit through dask.distributed: two workers beside one, interleaved.

python tests/bench/bench_dask.py                          # 8 files, 4 M rows; the bars are 1.4x
python tests/bench/bench_dask.py --rows 20000 --rounds 1  # does it run?

A scheduler and two worker processes of one thread each on loopback. "One worker" is the same cluster with the work
pinned to one of the two, so that everything else is alike. Each round runs both; the ratio is taken within a round.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

FILES = 8
COLUMNS = 12
BAR = 1.4


def write_files(folder: Path, rows: int) -> int:
    """CSV files of numbers and words; returns their bytes."""
    folder.mkdir()
    for number in range(FILES):
        rng = np.random.default_rng(number)
        count = rows // FILES
        columns: dict[str, Any] = {f"x{i}": rng.normal(size=count) for i in range(COLUMNS)}
        columns |= {f"i{i}": rng.integers(0, 100_000, count) for i in range(4)}
        columns |= {f"s{i}": pa.array([f"w{one}" for one in rng.integers(0, 500, count).tolist()]) for i in range(2)}
        pyarrow.csv.write_csv(pa.table(columns), folder / f"{number}.csv")
    return sum(path.stat().st_size for path in folder.iterdir())


def definition() -> dict[str, Any]:
    """Scaling, quantiles and vocabularies."""
    numbers = [f"x{i}" for i in range(COLUMNS)]
    return {
        "version": 1,
        "inputs": {
            "numeric": {"features": [
                {"columns": numbers, "steps": ["standardize"]},
                {"columns": [f"i{i}" for i in range(4)], "steps": ["quantile"]},
            ]},
            "words": {"dtype": "int32", "features": [{"columns": ["s0", "s1"], "steps": ["vocabulary"]}]},
        },
    }  # fmt: skip


@contextmanager
def cluster(folder: Path) -> Iterator[str]:
    """A scheduler and two workers; gives the address."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    place = folder / "scheduler.json"
    with ExitStack() as stack:

        def start(*arguments: str) -> None:
            command = [sys.executable, "-m", *arguments, "--host", "127.0.0.1", "--no-dashboard"]
            started = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            stack.callback(started.wait)
            stack.callback(started.kill)

        start("distributed.cli.dask_scheduler", "--port", "0", "--scheduler-file", str(place))
        while not place.exists() or not place.read_text().endswith("}"):
            time.sleep(0.05)
        address = json.loads(place.read_text())["address"]
        for _ in range(2):
            start(
                "distributed.cli.dask_worker",
                address,
                "--nthreads",
                "1",
                "--no-nanny",
                "--local-directory",
                str(folder),
            )
        yield address


def import_rooms() -> None:
    """In each worker first: imports aren't what is measured."""
    import vaxseq.features
    import vaxseq.frame  # noqa: F401
    from vaxseq.convert.fanout import warm

    warm()


def timed(work: Callable[[], Any]) -> float:
    """Seconds that it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure(folder: Path, rows: int, rounds: int) -> dict[str, Any]:
    """Seconds with one worker and with two, by round."""
    from distributed import Client

    import vaxseq as vs

    size = write_files(folder / "raw", rows)
    features = vs.FeatureSet.from_dict(definition())
    data = folder / "data.arrow"
    seconds: dict[str, dict[str, list[float]]] = {name: {"one": [], "two": []} for name in ("convert", "fit")}
    with cluster(folder) as address, Client(address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=120)
        first = min(client.scheduler_info()["workers"])
        executors = {
            "one": client.get_executor(pure=False, workers=[first], allow_other_workers=False),
            "two": client.get_executor(pure=False),
        }
        client.run(import_rooms)
        for number in range(rounds):
            for name in ("one", "two") if number % 2 == 0 else ("two", "one"):
                convert = timed(lambda name=name: vs.convert(
                    folder / "raw", data, executor=executors[name], overwrite=True, progress=False,
                ))  # fmt: skip
                frame = vs.open(data)
                fit = timed(
                    lambda name=name, frame=frame: features.fit(frame, executor=executors[name], progress=False)
                )
                frame.close()
                seconds["convert"][name].append(convert)
                seconds["fit"][name].append(fit)
    ratios = {
        name: statistics.median(one / two for one, two in zip(found["one"], found["two"], strict=True))
        for name, found in seconds.items()
    }
    return {"rows": rows, "csv_bytes": size, "seconds": seconds, "ratio": ratios, "bar": BAR}


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=4_000_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--output", type=Path)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), given.rows, given.rounds)
    for name, ratio in found["ratio"].items():
        one, two = (statistics.median(found["seconds"][name][key]) for key in ("one", "two"))
        print(f"{name:8} one worker {one:7.2f} s, two {two:7.2f} s: {ratio:.2f}x (bar {BAR}x)")
    if given.output:
        given.output.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
