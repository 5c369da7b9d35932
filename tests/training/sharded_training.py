"""Training on shares of the batches, on the backend that is set. Run by test_training_shards.py."""

from __future__ import annotations

import gc
import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

BACKEND = os.environ["KERAS_BACKEND"]
if BACKEND == "jax" and sys.argv[1:2] == ["devices"]:
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"

import keras  # noqa: E402
import numpy as np  # noqa: E402
import vaex  # noqa: E402

import vaxseq as vs  # noqa: E402

ROWS = 1025  # of the last step of two ranks, one gets a row and the other none
BATCH = 256
PAGE = Path(__file__).resolve().parents[2] / "vaxseq" / "reference" / "training.md"


class Recorded(vs.Sequence):
    """Notes the rows of each batch that have a weight; what is read twice counts once."""

    def __init__(self, *args, **options) -> None:
        self.rows: dict[str, dict[int, list[int]]] = {}
        super().__init__(*args, **options)

    stops_at: int | None = None

    def __getitem__(self, index):
        if len(self.rows.get(str(self.epoch), {})) == self.stops_at and self.epoch == 0:
            stop(self.rows)
        x, _, *weight = batch = super().__getitem__(index)
        real = np.asarray(weight[0]) > 0 if weight else np.ones(len(x), bool)
        rows = np.rint(np.asarray(x)[real, 0] * 1024).astype(int).tolist()
        self.rows.setdefault(str(self.epoch), {})[index] = rows
        return batch


def stop(rows: dict) -> None:
    """All ranks at once, in the midst of an epoch, when the step before is saved."""
    import torch

    torch.distributed.barrier()
    write({"rows": rows})
    sys.stdout.flush()
    os._exit(0)


def write(found: dict) -> None:
    mode, rank, folder, *_ = sys.argv[1:]
    Path(f"{folder}/{mode}-{rank}.json").write_text(json.dumps(found))


def make_frame() -> Any:
    return vaex.from_arrays(x=np.arange(ROWS) / 1024, y=np.arange(ROWS) / ROWS)


def build_model() -> keras.Model:
    # a seed of its own: keras.utils.set_random_seed imports every backend that is installed
    dense = keras.layers.Dense(1, kernel_initializer=keras.initializers.GlorotUniform(seed=0))
    model = keras.Sequential([keras.Input((1,)), dense])
    model.compile("adam", "mse", weighted_metrics=[])
    return model


class KilledAt(keras.callbacks.Callback):
    """SIGKILL when so many batches were trained on."""

    def __init__(self, batches: int) -> None:
        super().__init__()
        self._left = batches

    def on_train_batch_end(self, batch, logs=None):
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def weights_of(model: keras.Model) -> list:
    return [np.asarray(one).flatten().tolist() for one in model.get_weights()]


def train(model: keras.Model | None = None, batch_size: int = BATCH, callbacks: Any = (), **options) -> dict:
    model = model or build_model()
    options = {"inputs": ["x"], "targets": "y", "shuffle": "global", "pad": True, **options}
    data = Recorded(make_frame(), batch_size=batch_size, **options)
    model.fit(data, epochs=3, shuffle=False, verbose=0, callbacks=list(callbacks))
    return {"weights": weights_of(model), "rows": data.rows}


def initialize_jax() -> None:
    """As one of the processes that the environment tells of."""
    import jax

    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    keras.distribution.initialize()

    ranks = int(os.environ["KERAS_DISTRIBUTION_NUM_PROCESSES"])
    assert (jax.process_count(), len(jax.devices()), len(jax.local_devices())) == (ranks, ranks, 1)


def initialize_tensorflow() -> list[str]:
    """Two logical devices."""
    import tensorflow as tf

    devices = [tf.config.LogicalDeviceConfiguration(), tf.config.LogicalDeviceConfiguration()]
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)
    return ["CPU:0", "CPU:1"]


def on_devices() -> dict:
    if BACKEND == "jax":
        import jax

        assert len(jax.devices()) == 2
        keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
        return train()
    import tensorflow as tf

    with tf.distribute.MirroredStrategy(initialize_tensorflow()).scope():
        model = build_model()
    return train(model)


def on_ranks(folder: str, killed_at: int) -> dict:
    """Jax processes, killed after some batches, the last of which wasn't saved."""
    initialize_jax()
    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
    return train(shard="auto", callbacks=[KilledAt(killed_at), vs.ResumeTraining(f"{folder}/run", every_batches=1)])


def as_the_reference_says(rank: int, name: str = "", stops_at: int | None = None) -> dict:
    """Its snippet for this backend, or the one named."""
    name = name or {"torch": "ddp", "jax": "processes", "tensorflow": "mirrored"}[BACKEND]
    Recorded.stops_at = stops_at
    [snippet] = re.findall(rf"^```python {name}\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {"keras": keras, "vs": vs, "frame": make_frame()}
    if BACKEND == "jax":
        names |= {"address": os.environ["KERAS_DISTRIBUTION_JOB_ADDRESSES"], "rank": rank}
    if name == "mirrored":
        names |= {"devices": initialize_tensorflow()}
    vs.Sequence = Recorded  # type: ignore[misc]
    exec(compile(snippet, "training.md", "exec"), names)
    train = names["train"]
    if BACKEND == "torch":
        weights = [one.detach().flatten().tolist() for one in names["network"].parameters()]
        distributed = names["torch"].distributed
        names.clear()  # DDP's reducer joins the group's threads without letting go of the GIL if it is its last holder
        gc.collect()
        distributed.destroy_process_group()
    else:
        weights = weights_of(names["model"])
    return {"weights": weights, "rows": train.rows, "batches": len(train)}


if __name__ == "__main__":
    mode, rank, folder, *rest = sys.argv[1:]
    os.chdir(folder)
    found = {
        "alone": lambda: train(batch_size=int(rest[0])),
        "resumed": lambda: train(batch_size=2 * BATCH, callbacks=[vs.ResumeTraining(f"{folder}/run")]),
        "devices": on_devices,
        "ranks": lambda: on_ranks(folder, int(rest[0])),
        "reference": lambda: as_the_reference_says(int(rank)),
        "workers": lambda: as_the_reference_says(int(rank), "workers"),
        "elastic": lambda: as_the_reference_says(int(rank), stops_at=int(rest[0]) if rest else None),
    }[mode]()
    write(found)
