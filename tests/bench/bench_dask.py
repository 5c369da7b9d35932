"""Convert (CSV to Arrow) and fit through dask.distributed: two workers beside one, interleaved.

python tests/bench/bench_dask.py                          # 8 files, 4 M rows; the bars are 1.4x
python tests/bench/bench_dask.py --rows 20000 --rounds 1  # does it run?

A scheduler and two worker processes of one thread each on loopback. "One worker" is the same cluster with the work
pinned to one of the two, so that everything else is alike. Each round runs both; the ratio is taken within a round.

The processor seconds of the workers, and of scheduler and client together, tell what two cores can give at most: one
worker has a core to itself while the others have the second, and two workers share both cores with the others. On a
busy machine that bound says more than the clock.
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
from typing import Any, NamedTuple

import numpy as np
import psutil
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
def cluster(folder: Path) -> Iterator[tuple[str, list[psutil.Process]]]:
    """A scheduler and two workers; gives the address, and the processes in that order."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    place = folder / "scheduler.json"
    processes = []
    with ExitStack() as stack:

        def start(*arguments: str) -> None:
            command = [sys.executable, "-m", *arguments, "--host", "127.0.0.1", "--no-dashboard"]
            started = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            stack.callback(started.wait)
            stack.callback(started.kill)
            processes.append(psutil.Process(started.pid))

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
        yield address, processes


def import_rooms() -> None:
    """In each worker first: imports aren't what is measured."""
    import vaxseq.features
    import vaxseq.frame  # noqa: F401
    from vaxseq.convert.fanout import warm

    warm()


class Took(NamedTuple):
    """Seconds of the clock, and of processors: the workers', and those of client and scheduler."""

    wall: float
    workers: float
    others: float


def cpu(processes: list[psutil.Process]) -> tuple[float, float]:
    """Processor seconds so far of the workers, and of client and scheduler."""
    spent = [sum(one.cpu_times()[:2]) for one in [*processes, psutil.Process()]]
    return spent[1] + spent[2], spent[0] + spent[3]


def timed(processes: list[psutil.Process], work: Callable[[], Any]) -> Took:
    """What it takes."""
    before, began = cpu(processes), time.perf_counter()
    work()
    wall, after = time.perf_counter() - began, cpu(processes)
    return Took(wall, after[0] - before[0], after[1] - before[1])


def measure(folder: Path, rows: int, rounds: int) -> dict[str, Any]:
    """What each took with one worker and with two, by round."""
    from distributed import Client

    import vaxseq as vs

    size = write_files(folder / "raw", rows)
    features = vs.FeatureSet.from_dict(definition())
    data = folder / "data.arrow"
    took: dict[str, dict[str, list[Took]]] = {name: {"one": [], "two": []} for name in ("convert", "fit")}
    with cluster(folder) as (address, processes), Client(address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=120)
        first = min(client.scheduler_info()["workers"])
        executors = {
            "one": client.get_executor(pure=False, workers=[first], allow_other_workers=False),
            "two": client.get_executor(pure=False),
        }
        client.run(import_rooms)
        for number in range(rounds):
            for name in ("one", "two") if number % 2 == 0 else ("two", "one"):
                executor = executors[name]
                took["convert"][name].append(timed(processes, lambda executor=executor: vs.convert(
                    folder / "raw", data, executor=executor, overwrite=True, progress=False,
                )))  # fmt: skip
                frame = vs.open(data)
                took["fit"][name].append(timed(processes, lambda executor=executor, frame=frame: features.fit(
                    frame, executor=executor, progress=False,
                )))  # fmt: skip
                frame.close()
    ratios = {
        name: [one.wall / two.wall for one, two in zip(found["one"], found["two"], strict=True)]
        for name, found in took.items()
    }
    return {"rows": rows, "csv_bytes": size, "took": took, "ratios": ratios, "bar": BAR}


def table(found: dict[str, Any]) -> str:
    """Medians over the rounds."""
    lines = [
        f"{found['rows']:,} rows, {found['csv_bytes'] / 1e6:,.0f} MB of CSV in {FILES} files, medians of rounds",
        "",
        "| | one worker, s | two workers, s | ratio (rounds) | bar | CPU s: workers | others | two cores allow |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, took in found["took"].items():
        one, two = (Took(*map(statistics.median, zip(*took[key], strict=True))) for key in ("one", "two"))
        ratios = found["ratios"][name]
        most = max(two.workers, two.others) / max((two.workers + two.others) / 2, two.others)
        lines.append(
            f"| {name} | {one.wall:.2f} | {two.wall:.2f} "
            f"| {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) | {found['bar']} "
            f"| {two.workers:.2f} | {two.others:.2f} | {most:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=4_000_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--output", type=Path)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), given.rows, given.rounds)
    print(table(found))
    if given.output:
        given.output.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
