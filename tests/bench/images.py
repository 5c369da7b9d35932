"""Images augmented one by one and all at once, and a dataset that sends them to a process pool, as people write it."""

from __future__ import annotations

from multiprocessing import get_context
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import vaex
from PIL import Image, ImageEnhance

import vaxseq

BATCH = 512
SIDE = 32


def write(path: Path, rows: int) -> None:
    """Random images and labels in an HDF5 file."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file["images"] = rng.random((rows, SIDE, SIDE), np.float32)
        file["labels"] = rng.integers(0, 10, rows, dtype=np.int32)


# --- the same change to an image: by itself, through Pillow, and for a whole batch


def moved(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An image moved by some pixels, at random, with noise."""
    turned = np.roll(image, rng.integers(-3, 4, 2), (0, 1))
    return (turned + rng.normal(0, 0.05, image.shape)).astype(np.float32)


def pictured(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An image turned and brightened, at random, by Pillow."""
    picture = Image.fromarray((image * 255).astype(np.uint8))
    picture = picture.rotate(rng.uniform(-15, 15), Image.Resampling.BILINEAR)
    picture = ImageEnhance.Brightness(picture).enhance(rng.uniform(0.8, 1.2))
    return np.asarray(picture, np.float32) / 255


def each_moved(batch: Any, rng: np.random.Generator) -> Any:
    """The function as it was, image by image."""
    images, labels = batch
    return np.stack([moved(image, rng) for image in images]), labels


def each_pictured(batch: Any, rng: np.random.Generator) -> Any:
    """Pillow's, image by image: there is no other way."""
    images, labels = batch
    return np.stack([pictured(image, rng) for image in images]), labels


def all_moved(batch: Any, rng: np.random.Generator) -> Any:
    """What ``moved`` does, for a whole batch: one index, one draw of noise."""
    images, labels = batch
    count, height, width = images.shape
    down, right = rng.integers(-3, 4, (2, count, 1, 1))
    rows = (np.arange(height)[:, None] - down) % height
    columns = (np.arange(width)[None, :] - right) % width
    turned = images[np.arange(count)[:, None, None], rows, columns]
    return turned + rng.standard_normal(images.shape, np.float32) * np.float32(0.05), labels


# --- the dataset as it was

RNG = np.random.default_rng()  # each process has its own


def send_moved(image: np.ndarray) -> np.ndarray:
    """What a process does with one image."""
    return moved(image, RNG)


def send_pictured(image: np.ndarray) -> np.ndarray:
    """What a process does with one image."""
    return pictured(image, RNG)


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
