"""What the walk kills and runs again: each makes something out of a.csv and b.csv, dataset `d` or file `d.arrow`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

import vaxseq as vs
import vaxseq.cli.split  # what takes longest to import, before the fork
import vaxseq.features
import vaxseq.report.reporting
import vaxseq.split
import vaxseq.store


def convert_file() -> None:
    vs.convert("a.csv", "o.arrow", on_bad_rows="reject", schema={"columns": {"v": "float64"}}, progress=False)


def convert_folder() -> None:
    vs.convert("a.csv", "o", progress=False, on_bad_rows="reject", schema={"columns": {"v": "float64"}})


def convert_hdf5() -> None:
    vs.convert("a.csv", "o.hdf5", progress=False, on_bad_rows="reject", schema={"columns": {"v": "float64"}})


def append() -> None:
    vs.convert("b.csv", "d", append=True, progress=False)


def append_again() -> None:
    vs.convert("a.csv", "d", append=True, again=True, progress=False)


def compact() -> None:
    vs.compact("m", progress=False)


def overwrite_folder() -> None:
    vs.convert("b.csv", "d", overwrite=True, progress=False)


def overwrite_file() -> None:
    vs.convert("b.csv", "d.arrow", overwrite=True, progress=False)


def materialize() -> None:
    vs.materialize("d.arrow", None, "s.h5", inputs=["i"], progress=False)


def materialize_shuffled() -> None:
    vs.materialize("d.arrow", None, "s.h5", inputs=["i"], shuffle_seed=1, progress=False)


def overwrite_store() -> None:
    vs.materialize("d.arrow", None, "t.h5", inputs=["i"], where="i > 20", overwrite=True, progress=False)


def report() -> None:
    vs.report(vs.open("d.arrow"), "r.html", progress=False)


def save_state() -> None:
    features = {"version": 1, "inputs": {"x": {"features": [{"column": "i", "steps": ["standardize"]}]}}}
    vs.FeatureSet.from_dict(features).fit(vs.open("d.arrow"), progress=False).save("f.json")


def convert_sorted() -> None:
    vs.convert("a.csv", "o", sort_by="w", progress=False, on_bad_rows="reject", schema={"columns": {"v": "float64"}})


def cache() -> None:
    """The cache folder is one of the walk's."""
    os.environ["VAXSEQ_CACHE"] = str(Path("cache").absolute())


def before_cached_store() -> None:
    """Takes longer than what is walked; the backend begins no thread by it."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    import vaxseq.training.resume  # noqa: F401


before_row_index = before_train = before_cached_store


def cached_store() -> None:
    """The store that a Sequence keeps in the cache folder."""
    cache()
    len(vs.Sequence("d.arrow", inputs=["i"], where="i % 3 == 0", batch_size=10, store="auto"))


def row_index() -> None:
    """The index of the rows that pass, which is kept of larger data."""
    from vaxseq.loading import selection

    selection._CACHED_FROM_ROWS = 1
    cache()
    len(vs.Sequence("d.arrow", inputs=["i"], where="i % 3 == 0", batch_size=10))


def history() -> None:
    """Columns of the past."""
    cache()
    steps: list[object] = [{"impute": {"strategy": "constant", "value": 0}}, "standardize"]
    looks: tuple[object, ...] = ({"lag": 1}, {"rolling": {"rows": 3}})
    columns = [{"column": "v", "name": f"v{at}", "steps": [one, *steps]} for at, one in enumerate(looks)]
    definition = {"version": 1, "series": {"order_by": "i"}, "inputs": {"x": {"features": columns}}}
    vs.FeatureSet.from_dict(definition).fit(vs.open("d.arrow"), progress=False)


def explored() -> None:
    """What one scan found of every column."""
    cache()
    vs.explore("d.arrow", progress=False)


def split_files() -> None:
    _split("--overwrite")


def split_files_anew() -> None:
    """Without ``--overwrite``: what a killed run has written is its own."""
    _split()


def _split(*options: str) -> None:
    from vaxseq.cli import main

    try:
        main(["split", "d.arrow", "-p", "train=0.5", "-p", "test=0.5", "-o", "parts", "--quiet", *options])
    except SystemExit as ended:
        if ended.code:
            raise


EPOCHS = 2


def train() -> None:
    """Two epochs, saved after every other batch; the model counts how often each row came by."""
    import keras

    def zeros(shape: tuple[int, ...], dtype: str) -> Any:
        """Nothing to be compiled anew in each process."""
        return np.zeros(shape, dtype)

    class Seen(keras.layers.Layer):  # type: ignore[misc, name-defined]
        def build(self, shape: object) -> None:
            self.seen = self.add_weight(shape=(200,), initializer=zeros, trainable=False, name="seen")

        def call(self, row: object, training: bool = False) -> object:
            if training:
                places = keras.ops.cast(row[:, 0], "int32") - 300  # type: ignore[index]
                self.seen.assign(self.seen + keras.ops.sum(keras.ops.one_hot(places, 200), axis=0))
            return row

    ends = keras.layers.Dense(1, kernel_initializer=zeros, bias_initializer=zeros)
    model = keras.Sequential([keras.Input((1,)), Seen(), keras.layers.Rescaling(0.01), ends])
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "mse")
    sequence = vs.Sequence("d.arrow", inputs=["i"], targets="v", batch_size=50, shuffle="global")
    model.fit(sequence, epochs=EPOCHS, verbose=0, callbacks=[vs.ResumeTraining("run", every_batches=2)])
    if not Path("w.npz").exists():
        seen, *weights = (np.asarray(one) for one in model.get_weights())
        np.savez("w.tmp.npz", seen=seen, **{f"w{at}": one for at, one in enumerate(weights)})
        os.replace("w.tmp.npz", "w.npz")
