"""The benchmarks of loading and training, as one command.

python tests/bench/run.py                                # everything; what isn't installed is listed as not run
python tests/bench/run.py --only in-order shuffled       # some groups
python tests/bench/run.py --rows 20000 --large-rows 100000 --rounds 1 --seconds 0.05    # does it all run?

Each contender runs in a process of its own. In a round each is asked once, one after another, in an order that moves
on from round to round; ratios are taken within a round, and their median is shown. Results go to --output as JSON and
as a plot.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import plotting
from contenders import ALL, Contender
from groups import GROUPS, Bar, Group
from rows import Data, evict

Rounds = dict[str, list[dict[str, Any]]]


class Worker:
    """A contender's process: it prepares when told to, and runs one measurement at a time."""

    def __init__(self, contender: Contender, data: Data, options: argparse.Namespace) -> None:
        self.name = contender.name
        command = [sys.executable, __file__, "--worker", contender.name, "--data", str(data.folder)]
        command += ["--rows", str(data.rows), "--large-rows", str(data.large_rows), "--batch", str(options.batch)]
        env = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0", "HF_HUB_OFFLINE": "1", **contender.env}
        errors = None if options.errors else subprocess.DEVNULL
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, env=env
        )

    def ask(self, *words: object) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("result "):
                return json.loads(line.removeprefix("result "))
        return {"error": f"the process ended with exit code {self.process.wait()}"}

    def close(self) -> None:
        self.process.stdin.close()  # type: ignore[union-attr]
        self.process.wait()


def work(options: argparse.Namespace) -> None:
    """A worker's life: lines in, results out."""
    import training  # noqa: F401 - registers its contenders

    data = Data(options.data, options.rows, options.large_rows)
    contender = ALL[options.worker]
    for module in ("vaxseq", *contender.needs):
        importlib.import_module(module)
    running: Any = None
    for line in sys.stdin:
        word, *numbers = line.split()
        if word == "prepare":
            running = contender.prepare(data, options.batch)
            found: dict[str, Any] = {}
        elif word == "cold":
            start, cpu = time.perf_counter(), time.process_time()
            found = measured(contender.prepare(data, options.batch), 0, 600)
            found |= {"wall_s": time.perf_counter() - start, "cpu_s": time.process_time() - cpu}
        elif hasattr(running, "run"):
            found = running.run(*map(float, numbers))
        else:
            found = measured(running, *map(float, numbers))
        print("result " + json.dumps(found), flush=True)


def measured(epochs: Any, least_s: float, most_s: float) -> dict[str, Any]:
    """Whole epochs until the least time is over; a slow contender is stopped after the most."""
    rows, epoch = 0, 0
    cpu, start = time.process_time(), time.perf_counter()
    while True:
        for _, y in epochs(epoch):
            rows += len(y)
            now = time.perf_counter()
            if now - start > most_s:
                break
        epoch += 1
        if now - start >= least_s:
            return {"rows": rows, "wall_s": now - start, "cpu_s": time.process_time() - cpu}


def missing(contender: Contender) -> str | None:
    """A module that it needs and that isn't installed."""
    return next((name for name in contender.needs if not found_module(name)), None)


def found_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def run_group(group: Group, data: Data, options: argparse.Namespace) -> dict[str, Any]:
    """All rounds of a group."""
    rounds: Rounds = {}
    not_run: dict[str, str] = {}
    workers: dict[str, Worker] = {}
    for name in group.contenders:
        absent = missing(ALL[name])
        if absent:
            not_run[name] = f"{absent} isn't installed"
        elif not group.cold:
            worker = Worker(ALL[name], data, options)
            found = worker.ask("prepare")
            if "error" not in found:
                found = worker.ask("go", 0, options.seconds)  # untimed: caches, pages, compilation
            if "error" in found:
                not_run[name] = found["error"]
                worker.close()
            else:
                workers[name] = worker
    names = [name for name in group.contenders if name not in not_run]
    for number in range(options.rounds):
        for place in range(len(names)):
            name = names[(place + number) % len(names)]
            found = (
                run_cold(name, data, options)
                if group.cold
                else workers[name].ask("go", options.seconds, options.patience * options.seconds)
            )
            if "error" in found:
                raise SystemExit(f"{name}: {found['error']}; run with --errors to see why")
            rounds.setdefault(name, []).append(found)
        print(".", end="", flush=True)
    for worker in workers.values():
        worker.close()
    print()
    return {"group": group.name, "title": group.title, "rounds": rounds, "not_run": not_run, **summary(group, rounds)}


def run_cold(name: str, data: Data, options: argparse.Namespace) -> dict[str, Any]:
    """One epoch in a new process, its opening included, after its files were dropped from the page cache."""
    files = [data.folder / "store.h5" if file == "store" else getattr(data, file) for file in ALL[name].files]
    worker = Worker(ALL[name], data, options)
    resident = evict(files)
    found = worker.ask("cold")
    worker.close()
    return found | {"resident": resident}


def summary(group: Group, rounds: Rounds) -> dict[str, Any]:
    """Medians and spreads, ratios to the ceiling, and which bars are met."""
    table = {}
    for name, measured_rounds in rounds.items():
        row: dict[str, Any] = {}
        for measure, per in (("rows_per_s", "wall_s"), ("rows_per_cpu_s", "cpu_s")):
            rates = [one["rows"] / max(one[per], 1e-9) for one in measured_rounds]
            row[measure] = {"median": statistics.median(rates), "least": min(rates), "most": max(rates)}
            if group.contenders[0] in rounds:
                row[measure]["of_ceiling"] = ratio(rounds, name, group.contenders[0], per)
        if "waiting" in measured_rounds[0]:
            shares = [one["waiting"] for one in measured_rounds if one["waiting"] is not None]
            row["waiting"] = statistics.median(shares) if shares else None
        if "resident" in measured_rounds[0]:
            row["resident"] = max(one["resident"] for one in measured_rounds)
        table[name] = row
    return {"table": table, "bars": [check(bar, rounds) for bar in group.bars]}


def ratio(rounds: Rounds, name: str, other: str, per: str) -> float:
    """Median over the rounds of one rate over another of the same round."""
    return statistics.median(
        (a["rows"] / max(a[per], 1e-9)) / (b["rows"] / max(b[per], 1e-9))
        for a, b in zip(rounds[name], rounds[other], strict=True)
    )


def check(bar: Bar, rounds: Rounds) -> dict[str, Any]:
    per = "wall_s" if bar.measure == "rows_per_s" else "cpu_s"
    there = bar.name in rounds and bar.other in rounds
    got = ratio(rounds, bar.name, bar.other, per) if there else None
    met = None if got is None else got >= bar.least
    return {"name": bar.name, "other": bar.other, "measure": bar.measure, "least": bar.least, "got": got, "met": met}


def show(result: dict[str, Any]) -> None:
    """The table of a group; who is faster than the best of vaxseq is marked."""
    print(f"\n{result['title']}")
    print(
        f"  {'':48} {'Mrows/s':>9} {'least..most':>14} {'of ceiling':>11}"
        f" {'Mrows/CPU-s':>12} {'least..most':>14} {'of ceiling':>11}"
    )
    ours = [row["rows_per_s"]["median"] for name, row in result["table"].items() if is_ours(name)]
    ceiling = next(iter(result["table"]), "")
    for name, row in result["table"].items():
        wall, cpu = row["rows_per_s"], row["rows_per_cpu_s"]
        spreads = [f"{one['least'] / 1e6:.3g}..{one['most'] / 1e6:.3g}" for one in (wall, cpu)]
        note = ""
        if (
            not is_ours(name)
            and name != ceiling
            and not name.startswith("numpy")
            and ours
            and wall["median"] > max(ours)
        ):
            note = "  faster than vaxseq"
        if row.get("waiting") is not None:
            note += f"  {row['waiting']:.1%} waiting"
        if row.get("resident", 0) > 0.01:
            note += f"  not cold: {row['resident']:.0%} was in memory"
        print(
            f"  {name:48} {wall['median'] / 1e6:9.3g} {spreads[0]:>14} {wall.get('of_ceiling', 1):11.3g}"
            f" {cpu['median'] / 1e6:12.3g} {spreads[1]:>14} {cpu.get('of_ceiling', 1):11.3g}{note}"
        )
    for name, why in result["not_run"].items():
        print(f"  {name:48} not run: {why}")
    for bar in result["bars"]:
        got = "not run" if bar["got"] is None else f"{bar['got']:.3g}"
        verdict = {None: "", True: "met", False: "NOT MET"}[bar["met"]]
        unit = " per CPU-s" if bar["measure"] == "rows_per_cpu_s" else ""
        print(f"    {bar['name']} / {bar['other']}{unit}: {got}, expected at least {bar['least']:.3g}  {verdict}")


def is_ours(name: str) -> bool:
    return name.startswith("vaxseq") or name.endswith((", store", ", lazy"))


def versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for name in (
        "vaxseq",
        "numpy",
        "pyarrow",
        "h5py",
        "keras",
        "jax",
        "torch",
        "tensorflow-cpu",
        "vaex-core",
        "vaex-ml",
        "datasets",
        "grain",
    ):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    model = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return {
        "processor": model[0] if model else platform.processor(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
    }


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument(
        "--large-rows", type=int, default=50_000_000, help="of the file for filters; 0 leaves that group out"
    )
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--seconds", type=float, default=1.0, help="least time of a measurement; a slow one is cut at --patience times"
    )
    parser.add_argument("--patience", type=float, default=8.0)
    parser.add_argument("--only", nargs="*", choices=[group.name for group in GROUPS], help="groups")
    parser.add_argument("--without", nargs="*", default=[], help="contenders to leave out")
    parser.add_argument("--data", type=Path, default=Path("bench-output/data"), help="kept for the next run")
    parser.add_argument("--output", type=Path, default=Path("bench-output"))
    parser.add_argument("--errors", action="store_true", help="show what the processes print on standard error")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = parse()
    if options.worker:
        work(options)
        return
    data = Data(options.data.resolve(), options.rows, options.large_rows)
    wanted = [
        g for g in GROUPS if (not options.only or g.name in options.only) and (g.name != "filtered" or data.large_rows)
    ]
    if not any(group.name == "filtered" for group in wanted):
        Data(data.folder, data.rows, 0).make()
    else:
        data.make()
    make_store(data)
    results = []
    for group in wanted:
        contenders = tuple(name for name in group.contenders if name not in options.without)
        group = Group(group.name, group.title, contenders, group.bars, group.cold)
        results.append(run_group(group, data, options))
        show(results[-1])
    options.output.mkdir(parents=True, exist_ok=True)
    report = {
        "rows": data.rows, "large_rows": data.large_rows, "batch": options.batch, "rounds": options.rounds,
        "seconds": options.seconds, "versions": versions(), "machine": machine(), "groups": results,
    }  # fmt: skip
    (options.output / "results.json").write_text(json.dumps(report, indent=1))
    plotting.plot(report, options.output / "results.png")
    print(f"\nwritten: {options.output / 'results.json'}, {options.output / 'results.png'}")


def make_store(data: Data) -> None:
    from rows import COLUMNS

    import vaxseq

    vaxseq.materialize(
        vaxseq.open(data.hdf5),
        None,
        data.folder / "store.h5",
        inputs=COLUMNS,
        targets="y",
        overwrite=True,
        progress=False,
    )


if __name__ == "__main__":
    main()
