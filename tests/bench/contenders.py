"""Who loads batches: vaxseq, NumPy as the ceiling, and the peers, each in its best recipe.

A contender is a function from `Data` and the batch size to a function from an epoch to its batches (X, y): X of shape
(rows, 20) float32, y of shape (rows,). What it does before it returns isn't timed; what an epoch does is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rows import COLUMNS, Data

Batches = Iterator[tuple[Any, Any]]
Epochs = Callable[[int], Batches]


@dataclass(frozen=True)
class Contender:
    name: str
    prepare: Callable[[Data, int], Epochs]
    needs: tuple[str, ...] = ()  # modules
    env: dict[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()  # of Data, that it reads


ALL: dict[str, Contender] = {}


def contender(name: str, *, needs: tuple[str, ...] = (), files: tuple[str, ...] = (), **env: str):
    def register(prepare: Callable[[Data, int], Epochs]) -> Callable[[Data, int], Epochs]:
        ALL[name] = Contender(name, prepare, needs, env, files)
        return prepare

    return register


# --- NumPy: rows in memory


@contender("numpy copy")
def numpy_copy(data: Data, size: int) -> Epochs:
    x, y = data.arrays()

    def epoch(_: int) -> Batches:
        for i in range(0, len(y), size):
            yield x[i : i + size].copy(), y[i : i + size].copy()

    return epoch


@contender("numpy take")
def numpy_take(data: Data, size: int) -> Epochs:
    x, y = data.arrays()
    order = np.random.default_rng(0).permutation(len(y))

    def epoch(_: int) -> Batches:
        for i in range(0, len(y), size):
            yield np.take(x, order[i : i + size], axis=0), np.take(y, order[i : i + size])

    return epoch


@contender("numpy index")
def numpy_index(data: Data, size: int) -> Epochs:
    x, y = data.arrays()
    order = np.random.default_rng(0).permutation(len(y))

    def epoch(_: int) -> Batches:
        for i in range(0, len(y), size):
            yield x[order[i : i + size]], y[order[i : i + size]]

    return epoch


@contender("numpy take of columns")
def numpy_columns(data: Data, size: int) -> Epochs:
    x, y = data.arrays()
    columns = [np.ascontiguousarray(x[:, i]) for i in range(x.shape[1])]
    order = np.random.default_rng(0).permutation(len(y))

    def epoch(_: int) -> Batches:
        for i in range(0, len(y), size):
            rows = order[i : i + size]
            out = np.empty((len(rows), len(columns)), np.float32)
            for place, column in enumerate(columns):
                out[:, place] = np.take(column, rows)
            yield out, np.take(y, rows)

    return epoch


# --- vaxseq


def served(frame: Any, size: int, **options: Any) -> Epochs:
    import vaxseq

    inputs = options.pop("inputs", COLUMNS)
    sequence = vaxseq.Sequence(frame, inputs=inputs, targets="y", batch_size=size, **options)

    def epoch(number: int) -> Batches:
        for i in range(len(sequence)):
            yield sequence.batch(number, i)

    return epoch


VIRTUAL = [f"v{i}" for i in range(10)]


def with_virtual(frame: Any) -> Any:
    for i, name in enumerate(VIRTUAL):
        frame[name] = f"sqrt(x{i} ** 2 + x{i + 10} ** 2) * {i + 1} + x{i}"
    return frame


def ours(name: str, file: str, **options: Any) -> None:
    def prepare(data: Data, size: int) -> Epochs:
        import vaxseq

        return served(vaxseq.open(getattr(data, file)), size, **options)

    ALL[name] = Contender(name, prepare, env={"KERAS_BACKEND": "jax"}, files=(file,))


for kind in ("hdf5", "arrow"):
    ours(f"vaxseq {kind}, in order", kind)
    ours(f"vaxseq {kind}, global", kind, shuffle="global")
    ours(f"vaxseq {kind}, block", kind, shuffle="block")


@contender("vaxseq 10 virtual + 10 real, in order", KERAS_BACKEND="jax", files=("hdf5",))
def virtual(data: Data, size: int) -> Epochs:
    """The virtual columns declared as features, as a definition file has them."""
    import vaxseq

    features = [{"columns": COLUMNS[:10]}]
    features += [
        {"name": name, "expr": f"sqrt(x{i} ** 2 + x{i + 10} ** 2) * {i + 1} + x{i}"} for i, name in enumerate(VIRTUAL)
    ]
    definition = vaxseq.FeatureSet.from_dict(
        {"version": 1, "inputs": {"x": {"dtype": "float32", "features": features}}, "targets": {"y": {"column": "y"}}}
    )
    frame = vaxseq.open(data.hdf5)
    sequence = vaxseq.Sequence(frame, definition.fit(frame, progress=False), batch_size=size)

    def epoch(number: int) -> Batches:
        for i in range(len(sequence)):
            yield sequence.batch(number, i)

    return epoch


@contender("vaxseq 10 of vaex's virtual + 10 real, in order", KERAS_BACKEND="jax", files=("hdf5",))
def vaex_virtual(data: Data, size: int) -> Epochs:
    """The virtual columns of the frame, evaluated as vaex does."""
    import vaxseq

    return served(with_virtual(vaxseq.open(data.hdf5)), size, inputs=[*COLUMNS[:10], *VIRTUAL])


def stored(name: str, **options: Any) -> None:
    def prepare(data: Data, size: int) -> Epochs:
        import vaxseq

        return served(vaxseq.open(data.hdf5), size, store=data.folder / "store.h5", **options)

    ALL[name] = Contender(name, prepare, env={"KERAS_BACKEND": "jax"}, files=("store",))


stored("vaxseq store, in order")
stored("vaxseq store, global", shuffle="global")
stored("vaxseq store, block", shuffle="block")


def filtered(name: str, part: str, **options: Any) -> None:
    """A tenth of the large file, at its start or its end."""

    def prepare(data: Data, size: int) -> Epochs:
        import vaxseq

        count = data.large_rows // 20 if "where" in options else data.large_rows // 10
        chosen = slice(0, count) if part == "start" else slice(-count, None)
        return served(vaxseq.open(data.large), size, rows=chosen, **options)

    ALL[name] = Contender(name, prepare, env={"KERAS_BACKEND": "jax"}, files=("large",))


for part in ("start", "end"):
    filtered(f"vaxseq all rows, in order, {part}", part)
    filtered(f"vaxseq half the rows, in order, {part}", part, where="half == 1")
    filtered(f"vaxseq all rows, global, {part}", part, shuffle="global")
    filtered(f"vaxseq half the rows, global, {part}", part, where="half == 1", shuffle="global")


# --- peers


@contender("h5py slices, in order", files=("matrix",))
def h5py_slices(data: Data, size: int) -> Epochs:
    import h5py

    file = h5py.File(data.matrix)
    x, y = file["X"], file["y"]

    def epoch(_: int) -> Batches:
        for i in range(0, len(y), size):
            yield x[i : i + size], y[i : i + size]

    return epoch


def hugging_face(data: Data) -> Any:
    from datasets import Dataset

    return Dataset.from_file(str(data.stream)).with_format("arrow")


def from_tables(tables: Iterator[Any]) -> Batches:
    for table in tables:
        yield np.stack([table.column(name).to_numpy() for name in COLUMNS], axis=1), table.column("y").to_numpy()


@contender("HF datasets (arrow), in order", needs=("datasets",), files=("stream",))
def hf_sequential(data: Data, size: int) -> Epochs:
    dataset = hugging_face(data)
    return lambda _: from_tables(dataset.iter(size))


@contender("HF datasets (arrow), global", needs=("datasets",), files=("stream",))
def hf_shuffled(data: Data, size: int) -> Epochs:
    dataset = hugging_face(data)
    return lambda epoch: from_tables(dataset.shuffle(seed=epoch).iter(size))


class Rows:
    """A Grain source of single rows."""

    def __init__(self, data: Data) -> None:
        self.x, self.y = data.arrays()

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self.x[index], self.y[index]


class RowBatches(Rows):
    """A Grain source of whole batches of randomly drawn rows."""

    def __init__(self, data: Data, size: int) -> None:
        super().__init__(data)
        self.size, self.order = size, np.random.default_rng(0).permutation(len(self.y))

    def __len__(self) -> int:
        return math.ceil(len(self.y) / self.size)

    def rows(self, index: int) -> np.ndarray:
        return self.order[index * self.size : (index + 1) * self.size]

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        rows = self.rows(index)
        return np.take(self.x, rows, axis=0), np.take(self.y, rows)


class ColumnBatches(RowBatches):
    """The same over columns."""

    def __init__(self, data: Data, size: int) -> None:
        super().__init__(data, size)
        self.columns = [np.ascontiguousarray(self.x[:, i]) for i in range(self.x.shape[1])]

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        rows = self.rows(index)
        return np.stack([np.take(column, rows) for column in self.columns], axis=1), np.take(self.y, rows)


@contender("Grain, row by row, global", needs=("grain",))
def grain_rows(data: Data, size: int) -> Epochs:
    import grain

    source = Rows(data)
    return lambda epoch: iter(grain.MapDataset.source(source).shuffle(seed=epoch).batch(size).to_iter_dataset())


def grain_batches(source: Any) -> Epochs:
    import grain

    return lambda epoch: iter(grain.MapDataset.source(source).shuffle(seed=epoch).to_iter_dataset())


@contender("Grain, batches of rows, global", needs=("grain",))
def grain_row_batches(data: Data, size: int) -> Epochs:
    return grain_batches(RowBatches(data, size))


@contender("Grain, batches of columns, global", needs=("grain",))
def grain_column_batches(data: Data, size: int) -> Epochs:
    return grain_batches(ColumnBatches(data, size))


@contender("tf.data slices, in order", needs=("tensorflow",), TF_CPP_MIN_LOG_LEVEL="3")
def tf_slices(data: Data, size: int) -> Epochs:
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices(data.arrays()).batch(size).prefetch(2)
    return lambda _: dataset.as_numpy_iterator()


@contender("tf.data index and gather, global", needs=("tensorflow",), TF_CPP_MIN_LOG_LEVEL="3")
def tf_gather(data: Data, size: int) -> Epochs:
    import tensorflow as tf

    x, y = (tf.constant(array) for array in data.arrays())
    rows = tf.data.Dataset.range(len(y)).shuffle(len(y)).batch(size)
    dataset = rows.map(lambda i: (tf.gather(x, i), tf.gather(y, i)), num_parallel_calls=2).prefetch(2)
    return lambda _: dataset.as_numpy_iterator()


def torch_loader(data: Data, size: int, order: str) -> Epochs:
    """A sampler that gives a tensor of row numbers a batch: quicker than BatchSampler's lists."""
    import torch
    from torch.utils import data as torch_data

    x, y = (torch.from_numpy(array) for array in data.arrays())

    class Whole(torch_data.Dataset):
        def __len__(self) -> int:
            return len(y)

        def __getitem__(self, rows: Any) -> tuple[Any, Any]:
            return x[rows], y[rows]

    class Batched(torch_data.Sampler):
        def __iter__(self) -> Iterator[Any]:
            return iter(getattr(torch, order)(len(y)).split(size))

        def __len__(self) -> int:
            return math.ceil(len(y) / size)

    loader = torch_data.DataLoader(Whole(), batch_size=None, sampler=Batched())
    return lambda _: iter(loader)


@contender("torch DataLoader, in order", needs=("torch",))
def torch_sequential(data: Data, size: int) -> Epochs:
    return torch_loader(data, size, "arange")


@contender("torch DataLoader, global", needs=("torch",))
def torch_shuffled(data: Data, size: int) -> Epochs:
    return torch_loader(data, size, "randperm")


def generator(name: str):
    return contender(name, needs=("vaex.ml", "tensorflow"), TF_CPP_MIN_LOG_LEVEL="3", files=("hdf5",))


def vaex_generator(data: Data, size: int, features: list[str], shuffle: bool) -> Epochs:
    import vaex
    import vaex.ml  # registers df.ml

    frame = with_virtual(vaex.open(str(data.hdf5)))

    def epoch(_: int) -> Batches:
        return frame.ml.tensorflow.to_keras_generator(
            features, target="y", batch_size=size, shuffle=shuffle, infinite=False, verbose=False
        )

    return epoch


@generator("vaex to_keras_generator, in order")
def vaex_sequential(data: Data, size: int) -> Epochs:
    return vaex_generator(data, size, COLUMNS, shuffle=False)


@generator("vaex to_keras_generator, global")
def vaex_shuffled(data: Data, size: int) -> Epochs:
    return vaex_generator(data, size, COLUMNS, shuffle=True)


@generator("vaex to_keras_generator, 10 virtual + 10 real")
def vaex_generator_virtual(data: Data, size: int) -> Epochs:
    return vaex_generator(data, size, [*COLUMNS[:10], *VIRTUAL], shuffle=False)


@contender("plain read of the file", files=("hdf5",))
def plain_read(data: Data, size: int) -> Epochs:
    """The same columns with read() in large blocks: what storage gives; as many rows as the file has."""

    def epoch(_: int) -> Batches:
        buffer = bytearray(8 << 20)
        with open(data.hdf5, "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
        for i in range(0, data.rows, size):
            rows = min(size, data.rows - i)
            yield None, range(rows)

    return epoch
