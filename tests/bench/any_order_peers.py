"""Other loaders in a random order over a row-major file of the same rows, each in its best recipe, for some seconds.

``once``: whether an epoch gives every row once, anywhere. Blocks are read as scDataset does (arXiv 2506.01883), which
shuffles blocks of neighbours and the rows of as many as it fetches.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from rows import BLOCK_ROWS, COLUMNS, block

Figures = dict[str, Any]
WIDTH = len(COLUMNS) + 1
FETCHED_BATCHES = 64


def rows_file(path: Any, rows: int) -> None:
    """The rows of the columns' file, one behind the other, the label as a float."""
    with open(path, "wb") as file:
        for start in range(0, rows, BLOCK_ROWS):
            columns = block(start, rows)
            columns.pop("half")
            file.write(np.stack([one.astype(np.float32) for one in columns.values()], axis=1).data)


def torch_random(options: argparse.Namespace) -> Figures:
    """A DataLoader that takes whole batches of random rows from a memory map."""
    import torch

    matrix = np.memmap(options.folder / "rows.f32", np.float32, "r", shape=(options.rows, WIDTH))

    class Rows(torch.utils.data.Dataset):  # type: ignore[type-arg]
        def __len__(self) -> int:
            return options.rows

        def __getitem__(self, rows: Any) -> Any:
            return torch.from_numpy(matrix[rows])

    order = torch.randperm(options.rows).split(options.batch)
    loader = torch.utils.data.DataLoader(Rows(), sampler=[one.numpy() for one in order], batch_size=None)
    return timed(map(len, loader), options, once=True)


def blocks(size: int) -> Callable[[argparse.Namespace], Figures]:
    """Blocks of neighbours in random order, as many at once as 64 batches have rows, these shuffled."""

    def run(options: argparse.Namespace) -> Figures:
        matrix = np.memmap(options.folder / "rows.f32", np.float32, "r", shape=(options.rows, WIDTH))
        rng = np.random.default_rng(0)

        def batches() -> Iterator[int]:
            starts = rng.permutation(-(-options.rows // size)) * size
            at_once = max(1, FETCHED_BATCHES * options.batch // size)
            for first in range(0, len(starts), at_once):
                some = np.sort(starts[first : first + at_once])
                held = np.concatenate([matrix[start : start + size] for start in some])
                held = held[rng.permutation(len(held))]
                yield from (len(held[at : at + options.batch].copy()) for at in range(0, len(held), options.batch))

        return timed(batches(), options, once=False)

    return run


def tf_buffer(options: argparse.Namespace) -> Figures:
    """tf.data with a shuffle buffer of a quarter of the memory."""
    import tensorflow as tf

    def chunks() -> Iterator[Any]:
        with open(options.folder / "rows.f32", "rb", buffering=0) as file:
            while data := file.read(4 * WIDTH * BLOCK_ROWS):
                yield np.frombuffer(data, np.float32).reshape(-1, WIDTH)

    spec = tf.TensorSpec((None, WIDTH), tf.float32)
    buffer = max(options.batch, options.limit_mb * 2**20 // 4 // (4 * WIDTH))
    loader = tf.data.Dataset.from_generator(chunks, output_signature=spec).unbatch()
    loader = loader.shuffle(buffer).batch(options.batch).prefetch(2)
    return timed((int(batch.shape[0]) for batch in loader), options, once=False)


def grain_global(options: argparse.Namespace) -> Figures:
    """Grain's global shuffle of rows of a memory map, read by its threads."""
    import grain

    matrix = np.memmap(options.folder / "rows.f32", np.float32, "r", shape=(options.rows, WIDTH))

    class Rows:
        def __len__(self) -> int:
            return options.rows

        def __getitem__(self, row: int) -> np.ndarray:
            return matrix[row]

    loader = grain.MapDataset.source(Rows()).shuffle(seed=0).batch(options.batch).to_iter_dataset()
    return timed(map(len, loader), options, once=True)


def hf_shuffled(options: argparse.Namespace) -> Figures:
    """HF datasets' shuffle of an Arrow file, batches as Arrow."""
    from datasets import Dataset

    loader = Dataset.from_file(str(options.folder / "rows.arrow")).shuffle(seed=0)
    batches = loader.with_format("arrow").iter(options.batch)
    return timed((batch.num_rows for batch in batches), options, once=True)


def vaex_take(options: argparse.Namespace) -> Figures:
    """vaex's take of random rows, a batch at once."""
    import vaex

    frame = vaex.open(str(options.folder / "columns.hdf5"))
    order = np.random.default_rng(0).permutation(options.rows)

    def batches() -> Iterator[int]:
        for at in range(0, options.rows, options.batch):
            taken = frame.take(order[at : at + options.batch])
            yield len(np.stack([taken[name].to_numpy() for name in [*COLUMNS, "y"]], axis=1))

    return timed(batches(), options, once=True)


def timed(batches: Iterator[int], options: argparse.Namespace, *, once: bool) -> Figures:
    """Rows a second of an epoch, or of its beginning."""
    begun, rows = time.perf_counter(), 0
    for count in batches:
        rows += count
        if time.perf_counter() - begun > options.seconds:
            break
    return {"rows_s": rows / (time.perf_counter() - begun), "once": once, "way": "exact" if once else "not uniform"}


PEERS: dict[str, Callable[[argparse.Namespace], Figures]] = {
    "torch, memory map": torch_random,
    "blocks of 16": blocks(16),
    "blocks of 1,024": blocks(1024),
    "tf.data, buffer": tf_buffer,
    "Grain, global": grain_global,
    "HF datasets, shuffled": hf_shuffled,
    "vaex take": vaex_take,
}
