"""Images in a file: a dataset that sends them to a process pool, as people write it, and a Sequence."""

from __future__ import annotations

from multiprocessing import get_context
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import vaex
from image_changes import BATCH, SIDE, send_moved

import vaxseq


def write(path: Path, rows: int) -> None:
    """Random images and labels in an HDF5 file."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file["images"] = rng.random((rows, SIDE, SIDE), np.float32)
        file["labels"] = rng.integers(0, 10, rows, dtype=np.int32)


# --- the dataset as it was


class Pooled(keras.utils.PyDataset):
    """Images in memory; each goes to another process to be augmented, and comes back.

    ``by_item`` sends them one by one (``imap``), else the pool makes eight packets of them (``map``).
    """

    def __init__(self, path: Path, function: Any = send_moved, *, processes: int = 2, by_item: bool = False) -> None:
        super().__init__()
        with h5py.File(path) as file:
            self.images, self.labels = file["images"][:], file["labels"][:]
        self.pool = get_context("spawn").Pool(processes)
        self.function, self.by_item = function, by_item

    def __len__(self) -> int:
        return len(self.labels) // BATCH

    def __getitem__(self, index: int) -> Any:
        rows = slice(index * BATCH, (index + 1) * BATCH)
        send = self.pool.imap if self.by_item else self.pool.map
        return np.stack(list(send(self.function, list(self.images[rows])))), self.labels[rows]

    def close(self) -> None:
        self.pool.terminate()
        self.pool.join()


# --- and as a Sequence


def mapped(dataset: h5py.Dataset) -> np.ndarray:
    """A contiguous HDF5 dataset as it lies in the file."""
    return np.memmap(dataset.file.filename, dataset.dtype, "r", dataset.id.get_offset(), dataset.shape)


def sequence(path: Path, **options: Any) -> vaxseq.Sequence:
    """Any image anywhere, read from the file as it goes."""
    with h5py.File(path) as file:
        frame = vaex.from_arrays(images=mapped(file["images"]), labels=mapped(file["labels"]))
    return vaxseq.Sequence(
        frame, inputs="images", targets="labels", batch_size=BATCH, shuffle="global", drop_remainder=True, **options
    )
