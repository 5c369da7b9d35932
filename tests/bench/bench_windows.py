"""Windows: many series beside pytorch-forecasting's TimeSeriesDataSet, one long series beside Keras' own dataset.

python tests/bench/bench_windows.py                                # 10,000 series, 20 M rows of 6 channels, length 128
python tests/bench/bench_windows.py --peer-rows 2000000            # the peer on a size that it can hold
python tests/bench/bench_windows.py --peer-rows 1 --shuffle        # without the peer, in a random order

Each contender runs in a process of its own, in turn with the others: time to the first batch, batches a second after
it, and the process's own memory (RssAnon) over what it held before. The peer is among peers.txt.
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

CHANNELS = [f"c{number}" for number in range(6)]
BLOCK_ROWS = 1 << 20


def make(path: Path, rows: int, series: int) -> None:
    """Rows of equally long series, as a dataset that vaex maps, block by block."""
    import h5py

    rng = np.random.default_rng(0)
    length = rows // series
    with h5py.File(path, "w") as file:
        file.create_group("table").attrs["type"] = "table"
        kinds = {"series": "<i4", "t": "<i4", "y": "<f4"} | dict.fromkeys(CHANNELS, "<f4")
        stored = {
            name: file.create_dataset(f"table/columns/{name}/data", (rows,), dtype) for name, dtype in kinds.items()
        }
        for start in range(0, rows, BLOCK_ROWS):
            ids = np.arange(start, min(start + BLOCK_ROWS, rows))
            stored["series"][start : ids[-1] + 1], stored["t"][start : ids[-1] + 1] = np.divmod(ids, length)
            for name in ("y", *CHANNELS):
                stored[name][start : ids[-1] + 1] = rng.standard_normal(len(ids), dtype=np.float32)


def anon_mb() -> float:
    """Memory of this process's own, in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1000
    return 0.0


def ours(path: Path, args: argparse.Namespace) -> Iterator[Any]:
    """vaxseq on all series; batches in a global shuffle, or in order on one series."""
    from vaxseq import Sequence, Window, open

    many = args.series > 1
    window = Window(args.length, group_by="series" if many else None, order_by="t" if many else None)
    sequence = Sequence(
        open(path),
        inputs=CHANNELS,
        targets="y",
        window=window,
        batch_size=args.batch,
        shuffle="global" if args.shuffle else False,
    )
    for number in range(len(sequence)):
        yield sequence[number]


def keras_series(path: Path, args: argparse.Namespace) -> Iterator[Any]:
    """timeseries_dataset_from_array on one long series, held in memory as it asks for."""
    import keras
    import vaex

    frame = vaex.open(str(path))
    data = np.column_stack([frame[name].to_numpy() for name in CHANNELS])
    yield from keras.utils.timeseries_dataset_from_array(
        data, frame.y.to_numpy()[args.length - 1 :], args.length, batch_size=args.batch, shuffle=args.shuffle
    )


def pytorch_forecasting(path: Path, args: argparse.Namespace) -> Iterator[Any]:
    """TimeSeriesDataSet on a pandas frame of all series."""
    import vaex
    from pytorch_forecasting import TimeSeriesDataSet

    data = vaex.open(str(path)).to_pandas_df()
    dataset = TimeSeriesDataSet(
        data,
        time_idx="t",
        target="y",
        group_ids=["series"],
        min_encoder_length=args.length - 1,
        max_encoder_length=args.length - 1,
        max_prediction_length=1,
        time_varying_unknown_reals=CHANNELS,
        target_normalizer=None,
        scalers=dict.fromkeys(CHANNELS),
    )
    yield from dataset.to_dataloader(train=args.shuffle, batch_size=args.batch, num_workers=0)


CONTENDERS: dict[str, Callable[..., Iterator[Any]]] = {
    "vaxseq": ours,
    "keras": keras_series,
    "pytorch-forecasting": pytorch_forecasting,
}

IMPORTS = {
    "vaxseq": ["vaxseq.training.sequence", "vaxseq.loading.readers.frame", "keras"],
    "keras": ["vaex", "keras", "tensorflow"],
    "pytorch-forecasting": ["vaex", "pytorch_forecasting"],
}


def measure(name: str, path: Path, args: argparse.Namespace) -> dict[str, float]:
    """One contender, in this process."""
    for module in IMPORTS[name]:  # takes seconds, and isn't about the data
        importlib.import_module(module)
    before, start = anon_mb(), time.perf_counter()
    batches = CONTENDERS[name](path, args)
    next(batches)
    first = time.perf_counter() - start
    start, cpu, count, most = time.perf_counter(), time.process_time(), 0, anon_mb()
    for _ in batches:
        count += 1
        if count % 20 == 0:
            most = max(most, anon_mb())
        if count == args.batches or time.perf_counter() - start > args.seconds:
            break
    taken, cpu = time.perf_counter() - start, time.process_time() - cpu
    return {
        "first_batch_s": first,
        "batches_s": count / taken,
        "batches_cpu_s": count / cpu,
        "rss_anon_mb": max(most, anon_mb()) - before,
    }


def compare(names: list[str], rows: int, series: int, args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Medians over rounds of all contenders on the same file."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        path = Path(folder) / "series.hdf5"
        make(path, rows, series)
        for _ in range(args.rounds):
            for name in names:
                options = ["--one", name, "--data", str(path), "--series", str(series), "--length", str(args.length)]
                options += ["--batch", str(args.batch), "--batches", str(args.batches), "--seconds", str(args.seconds)]
                command = [sys.executable, __file__, *options, *(["--shuffle"] if args.shuffle else [])]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                found[name].append(json.loads(done.stdout.splitlines()[-1]))
    medians = {
        name: {key: statistics.median(one[key] for one in many) for key in many[0]} for name, many in found.items()
    }
    for name, one in medians.items():
        print(
            f"{rows:>12,} rows  {series:>7,} series  {name:<20}", *(f"{key} {value:,.3g}" for key, value in one.items())
        )
    return medians


def main() -> None:
    """Both comparisons; prints medians, and the ratios at the end as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--series", type=int, default=10_000)
    parser.add_argument("--peer-rows", type=int, default=0, help="rows for the peer; as many when left out, 1 for none")
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--batches", type=int, default=400)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shuffle", action="store_true")
    parser.add_argument("--folder", default=None, help="where the data is made")
    parser.add_argument("--one", choices=list(CONTENDERS))
    parser.add_argument("--data", type=Path)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.one, args.data, args)))
        return
    result: dict[str, Any] = {"many": compare(["vaxseq"], args.rows, args.series, args)}
    if args.peer_rows != 1:
        rows = args.peer_rows or args.rows
        series = max(1, args.series * rows // args.rows)
        result["peer"] = compare(["vaxseq", "pytorch-forecasting"], rows, series, args)
        ours, theirs = result["peer"]["vaxseq"], result["peer"]["pytorch-forecasting"]
        first, memory = (theirs[key] / ours[key] for key in ("first_batch_s", "rss_anon_mb"))
        print(
            f"{series:,} series: the peer takes {first:.1f} times as long to a batch and {memory:.1f} times the memory"
        )
    result["one"] = compare(["vaxseq", "keras"], args.rows, 1, args)
    ratio = result["one"]["vaxseq"]["batches_s"] / result["one"]["keras"]["batches_s"]
    print(f"one long series: vaxseq gives {ratio:.2f} times the batches of Keras' own dataset")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
