"""Steps of ``model.fit`` on a small network: vaxseq beside arrays in memory, on each backend."""

from __future__ import annotations

import functools
import random
import time
from typing import Any

from contenders import ALL, Contender
from rows import COLUMNS, Data

BACKENDS = ("jax", "torch", "tensorflow")
KINDS = dict.fromkeys(BACKENDS, ("arrays", "store", "lazy", "one batch"))
KINDS["tensorflow"] += ("store as tf.data",)


def network() -> Any:
    import keras

    random.seed(0)  # Keras draws its seeds from it; keras.utils.set_random_seed imports TensorFlow, too
    model = keras.Sequential(
        [
            keras.Input((len(COLUMNS),)),
            keras.layers.Dense(64, "relu"),
            keras.layers.Dense(64, "relu"),
            keras.layers.Dense(1),
        ]
    )
    model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
    return model


def one_batch(data: Data, size: int) -> Any:
    """A PyDataset that gives the same batch over and over: what Keras takes for any PyDataset."""
    import keras

    class OneBatch(keras.utils.PyDataset):
        def __init__(self) -> None:
            super().__init__()
            x, y = data.arrays()
            self.rows, self.given = len(y), (x[:size].copy(), y[:size].copy())
            self.batches = len(range(0, len(y), size))

        def __len__(self) -> int:
            return self.batches

        def __getitem__(self, index: int) -> Any:
            return self.given

    return OneBatch()


class Fit:
    """A contender that trains: a pass is an epoch of ``model.fit``."""

    def __init__(self, data: Data, size: int, kind: str) -> None:
        self.model, self.size, self.kind = network(), size, kind
        if kind == "arrays":
            self.x, self.y = data.arrays()
            self.rows = len(self.y)
        elif kind == "one batch":
            self.served = one_batch(data, size)
            self.rows = self.served.rows
        else:
            import vaxseq

            store = None if kind == "lazy" else data.folder / "store.h5"
            frame = vaxseq.open(data.hdf5)
            self.sequence = vaxseq.Sequence(
                frame, inputs=COLUMNS, targets="y", batch_size=size, shuffle="global", store=store
            )
            self.rows = self.sequence.num_rows
            self.served = self.sequence.to_tf().prefetch(2) if kind == "store as tf.data" else self.sequence
        self.epoch()  # compiles

    def epoch(self) -> None:
        if self.kind == "arrays":
            self.model.fit(self.x, self.y, batch_size=self.size, shuffle=True, verbose=0)
        else:
            self.model.fit(self.served, shuffle=False, verbose=0)

    def run(self, least_s: float, most_s: float) -> dict[str, Any]:
        rows, wall, cpu = 0, time.perf_counter(), time.process_time()
        while rows == 0 or time.perf_counter() - wall < least_s:
            self.epoch()
            rows += self.rows
        found: dict[str, Any] = {"rows": rows, "wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
        if self.kind in ("store", "lazy"):
            from vaxseq.training.timed_fit import timed_fit

            steps = timed_fit(self.model, self.sequence, least_s / 2, shuffle=False)
            found["waiting"] = None if steps.waited_s is None else steps.waited_s / steps.seconds
        return found


def register() -> None:
    for backend in BACKENDS:
        for kind in KINDS[backend]:
            name = f"fit on {backend}, {kind}"
            prepare = functools.partial(Fit, kind=kind)
            env = {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
            ALL[name] = Contender(name, prepare, (backend,), env, ("hdf5",))


register()
