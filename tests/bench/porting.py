"""Three datasets as people write them, and each ported to vaxseq, step by step: what bench_porting.py measures."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import image_changes
import images
import keras
import numpy as np
import pyarrow as pa
import pyarrow.feather
import vaex

import vaxseq

SIZE = 512


# --- 1: work on each item


class PerItem(keras.utils.PyDataset):
    """Trips in memory, each made into features by itself."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        table = pyarrow.feather.read_table(str(path))
        self.trips = {name: table.column(name).to_numpy() for name in table.column_names}

    def __len__(self) -> int:
        return len(self.trips["late"]) // SIZE

    def __getitem__(self, index: int) -> Any:
        rows = range(index * SIZE, (index + 1) * SIZE)
        return np.stack([self.features(row) for row in rows]), self.trips["late"][rows]

    def features(self, row: int) -> np.ndarray:
        minute, distance, wind = (self.trips[name][row] for name in ("minute", "distance", "wind"))
        angle = 2 * np.pi * minute / 1440
        return np.array([np.sin(angle), np.cos(angle), np.log1p(distance), wind * np.cos(angle)], np.float32)


TRIPS = {
    "version": 1,
    "inputs": {
        "trip": {
            "dtype": "float32",
            "features": [
                {"column": "minute", "steps": [{"cyclical": {"period": 1440}}]},
                {"column": "distance", "steps": ["log1p"]},
                {"name": "headwind", "expr": "wind * cos(2 * pi * minute / 1440)"},
            ],
        }
    },
    "targets": {"late": {"column": "late", "dtype": "float32"}},
}


def per_item(folder: Path, rows: int) -> Iterator[tuple[str, Any, bool]]:
    path = folder / "trips.arrow"
    rng = np.random.default_rng(0)
    trips = {
        "minute": rng.integers(0, 1440, rows),
        "distance": rng.lognormal(6, 1, rows),
        "wind": rng.normal(size=rows),
    }
    trips["late"] = (rng.random(rows) < 0.2).astype(np.float32)
    pyarrow.feather.write_feather(pa.table(trips), str(path), compression="uncompressed")
    yield "as it was", PerItem(path), True

    frame = vaxseq.open(path)
    fitted = vaxseq.FeatureSet.from_dict(TRIPS).fit(frame, progress=False)
    yield "the features declared", vaxseq.Sequence(frame, fitted, batch_size=SIZE, shuffle="global"), True
    yield "fit(shuffle=False): read ahead", vaxseq.Sequence(frame, fitted, batch_size=SIZE, shuffle="global"), False
    store = folder / "trips.h5"
    yield "packed store", vaxseq.Sequence(frame, fitted, batch_size=SIZE, shuffle="global", store=store), False


# --- 2: rows of an HDF5 file


class Slices(keras.utils.PyDataset):
    """Rows of an HDF5 file in a random order, as h5py takes them: sorted within a batch."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.file = h5py.File(path)
        self.order = np.random.default_rng(0).permutation(len(self.file["y"]))

    def __len__(self) -> int:
        return len(self.order) // SIZE

    def __getitem__(self, index: int) -> Any:
        rows = np.sort(self.order[index * SIZE : (index + 1) * SIZE])
        return self.file["x"][rows], self.file["y"][rows]

    def on_epoch_end(self) -> None:
        np.random.default_rng().shuffle(self.order)


def slices(folder: Path, rows: int) -> Iterator[tuple[str, Any, bool]]:
    path = folder / "readings.h5"
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file["x"] = rng.normal(size=(rows, 24)).astype(np.float32)
        file["y"] = rng.normal(size=rows).astype(np.float32)
    yield "as it was", Slices(path), True

    with h5py.File(path) as file:
        frame = vaex.from_arrays(x=images.mapped(file["x"]), y=images.mapped(file["y"]))
    yield "mapped", vaxseq.Sequence(frame, inputs="x", targets="y", batch_size=SIZE, shuffle="global"), True
    yield (
        "fit(shuffle=False): read ahead",
        vaxseq.Sequence(frame, inputs="x", targets="y", batch_size=SIZE, shuffle="global"),
        False,
    )
    store = folder / "readings-store.h5"
    yield (
        "packed store",
        vaxseq.Sequence(frame, inputs="x", targets="y", batch_size=SIZE, shuffle="global", store=store),
        False,
    )


# --- 3: a process pool


def pooled(folder: Path, rows: int) -> Iterator[tuple[str, Any, bool]]:
    path = folder / "images.h5"
    images.write(path, rows)
    before = images.Pooled(path)
    yield "as it was", before, True
    before.close()
    each, every = image_changes.each_moved, image_changes.all_moved
    yield "augment=, image by image, in threads", images.sequence(path, augment=each), False
    yield "augment_workers=2: in shared memory", images.sequence(path, augment=each, augment_workers=2), False
    yield "whole batches at once, in threads", images.sequence(path, augment=every), False
    yield "whole batches, augment_workers=2", images.sequence(path, augment=every, augment_workers=2), False


CLASSES: dict[str, tuple[Callable[[Path, int], Iterator[tuple[str, Any, bool]]], int]] = {
    "work on each item": (per_item, 1),
    "h5py slices": (slices, 1),
    "a process pool": (pooled, 40),
}


def measure(rows: int, seconds: float) -> list[dict[str, Any]]:
    """Rows a second of each step, and the profile's verdict on it."""
    found = []
    with tempfile.TemporaryDirectory(prefix="vaxseq-bench-") as folder:
        for name, (steps, fewer) in CLASSES.items():
            first = 0.0
            for step, dataset, shuffle in steps(Path(folder), rows // fewer):
                profile = vaxseq.profile(dataset, seconds=seconds, shuffle=shuffle)
                rate = profile.batch_rows / profile.loader_s
                first = first or rate
                advice = profile.advice[0]
                found.append(
                    {"class": name, "step": step, "rows_per_s": rate, "gain": rate / first, "verdict": advice.verdict,
                     "advice": advice.text}
                )  # fmt: skip
    return found
