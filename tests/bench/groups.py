"""What is compared with what, and what is expected of it."""

from __future__ import annotations

from dataclasses import dataclass

from training import BACKENDS, KINDS


@dataclass(frozen=True)
class Bar:
    """``name`` is to be at least ``least`` times as fast as ``other``, in rows/s or in rows per CPU second."""

    name: str
    least: float
    other: str
    measure: str = "rows_per_s"


@dataclass(frozen=True)
class Group:
    """Contenders whose rounds are interleaved. The first is the ceiling that ratios are of."""

    name: str
    title: str
    contenders: tuple[str, ...]
    bars: tuple[Bar, ...] = ()
    cold: bool = False


GROUPS = [
    Group(
        "in-order",
        "20 real columns, in order",
        (
            "numpy copy",
            "vaxseq store, in order",
            "vaxseq hdf5, in order",
            "vaxseq arrow, in order",
            "h5py slices, in order",
            "HF datasets (arrow), in order",
            "tf.data slices, in order",
            "torch DataLoader, in order",
            "vaex to_keras_generator, in order",
        ),
        (
            Bar("vaxseq store, in order", 0.9, "numpy copy"),
            Bar("vaxseq hdf5, in order", 8, "HF datasets (arrow), in order"),
            Bar("vaxseq arrow, in order", 8, "HF datasets (arrow), in order"),
            Bar("vaxseq hdf5, in order", 40, "vaex to_keras_generator, in order"),
            Bar("vaxseq arrow, in order", 40, "vaex to_keras_generator, in order"),
            Bar("vaxseq arrow, in order", 1 / 1.3, "vaxseq hdf5, in order"),
            Bar("vaxseq hdf5, in order", 1 / 1.3, "vaxseq arrow, in order"),
        ),
    ),
    Group(
        "shuffled",
        "20 real columns, every row anywhere",
        (
            "numpy take",
            "numpy index",
            "numpy take of columns",
            "vaxseq store, global",
            "vaxseq store, block",
            "vaxseq hdf5, global",
            "vaxseq arrow, global",
            "vaxseq hdf5, block",
            "Grain, batches of rows, global",
            "Grain, batches of columns, global",
            "Grain, row by row, global",
            "tf.data index and gather, global",
            "torch DataLoader, global",
            "HF datasets (arrow), global",
            "vaex to_keras_generator, global",
        ),
        (
            Bar("vaxseq store, global", 0.8, "numpy take"),
            Bar("vaxseq store, global", 0.5, "numpy take", "rows_per_cpu_s"),
            Bar("vaxseq store, block", 2, "numpy index"),
            Bar("vaxseq hdf5, global", 1, "numpy take of columns"),
            Bar("vaxseq arrow, global", 1, "numpy take of columns"),
            Bar("vaxseq hdf5, global", 1.5, "Grain, batches of columns, global"),
            Bar("vaxseq arrow, global", 1.5, "Grain, batches of columns, global"),
            Bar("vaxseq arrow, global", 1 / 1.3, "vaxseq hdf5, global"),
        ),
    ),
    Group(
        "virtual",
        "10 virtual and 10 real columns, in order",
        (
            "numpy copy",
            "vaxseq 10 virtual + 10 real, in order",
            "vaxseq 10 of vaex's virtual + 10 real, in order",
            "vaex to_keras_generator, 10 virtual + 10 real",
        ),
        (
            Bar("vaxseq 10 virtual + 10 real, in order", 100, "vaex to_keras_generator, 10 virtual + 10 real"),
            Bar(
                "vaxseq 10 of vaex's virtual + 10 real, in order", 100, "vaex to_keras_generator, 10 virtual + 10 real"
            ),
        ),
    ),
    Group(
        "filtered",
        "half the rows, at the start and at the end of a large file",
        tuple(
            f"vaxseq {rows} rows, {order}, {part}"
            for part in ("start", "end")
            for order in ("in order", "global")
            for rows in ("all", "half the")
        ),
        (
            *(
                Bar(f"vaxseq half the rows, in order, {part}", 0.5, f"vaxseq all rows, in order, {part}")
                for part in ("start", "end")
            ),
            *(
                Bar(f"vaxseq half the rows, global, {part}", 0.35, f"vaxseq all rows, global, {part}")
                for part in ("start", "end")
            ),
            Bar("vaxseq half the rows, in order, end", 1 / 1.3, "vaxseq half the rows, in order, start"),
        ),
    ),
    *(
        Group(
            f"fit-{backend}",
            f"model.fit on {backend}: a network of 64 + 64",
            tuple(f"fit on {backend}, {kind}" for kind in KINDS[backend]),
            tuple(Bar(f"fit on {backend}, {kind}", 1.0, f"fit on {backend}, arrays") for kind in ("store", "lazy")),
        )
        for backend in BACKENDS
    ),
    Group(
        "cold",
        "in order, from storage",
        (
            "plain read of the file",
            "vaxseq store, in order",
            "vaxseq hdf5, in order",
            "vaxseq arrow, in order",
            "h5py slices, in order",
            "HF datasets (arrow), in order",
        ),
        (Bar("vaxseq hdf5, in order", 0.7, "plain read of the file"),),
        cold=True,
    ),
]
