"""Batches that two devices share, on the backend that is set. Run by test_device.py."""

from __future__ import annotations

import json
import os
import random
from typing import Any

BACKEND = os.environ["KERAS_BACKEND"]
if __name__ == "__main__":  # not when doctests are looked for
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"

import keras  # noqa: E402
import numpy as np  # noqa: E402
import vaex  # noqa: E402

import vaxseq as vs  # noqa: E402

ROWS, SIZE = 500, 64


def sequence(**options: Any) -> vs.Sequence:
    x = np.random.default_rng(0).normal(size=ROWS)
    frame = vaex.from_arrays(x=x, y=2 * x)
    return vs.Sequence(frame, inputs=["x"], targets="y", batch_size=SIZE, shuffle="global", pad=True, **options)


def model() -> keras.Model:
    random.seed(0)  # Keras draws its seeds from it; keras.utils.set_random_seed imports TensorFlow, too
    made = keras.Sequential([keras.layers.Dense(1)])
    made.compile("adam", "mse", weighted_metrics=[])
    return made


def weights(data: vs.Sequence) -> str:
    trained = model()
    trained.fit(data, epochs=2, shuffle=False, verbose=0)
    return "".join(part.tobytes().hex() for part in trained.get_weights())


def bits(data: vs.Sequence) -> list[str]:
    return hexes(list(data))


def hexes(batches: list[Any]) -> list[str]:
    return [np.asarray(part).tobytes().hex() for batch in batches for part in batch]


def by_jax() -> dict[str, Any]:
    import jax

    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("batch",))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("batch"))
    found: dict[str, Any] = {"bits": {"sharding": bits(sequence(device=sharding))}, "weights": {}, "devices": {}}
    first = next(iter(sequence(device=sharding)))[0]
    found["devices"]["sharding"] = [len(first.devices()), [len(one.data) for one in first.addressable_shards]]
    keras.distribution.set_distribution(keras.distribution.DataParallel())
    ways: dict[str, dict[str, Any]] = {
        "host": {"device": None},
        "ahead": {"device": "cpu:0"},
        "kept": {"store": "device", "device": "cpu:0"},
    }
    for name, way in ways.items():
        found["bits"][name] = bits(sequence(**way))
        found["weights"][name] = weights(sequence(**way))
        if name != "host":
            x = next(iter(sequence(**way)))[0]
            found["devices"][name] = [len(x.devices()), [len(one.data) for one in x.addressable_shards]]
    data = sequence(device="cpu:0")
    next(iter(data))
    found["said"] = str(data.describe(seconds=0))
    kept, host, found["moved"] = sequence(store="device"), sequence(device=None), []
    for device in ("cpu:0", "cpu:1"):
        keras.distribution.set_distribution(keras.distribution.DataParallel(devices=[device]))
        there = list(kept)
        found["moved"].append([hexes(there) == bits(host), str(*there[0][0].devices())])
    return found


def by_tensorflow() -> dict[str, Any]:
    import tensorflow as tf

    halves = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], halves)
    found: dict[str, Any] = {"weights": {}}
    for name, device in {"host": None, "named": "cpu:0"}.items():
        with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
            found["weights"][name] = weights(sequence(device=device))
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        trained = model()
    try:
        trained.fit(sequence(store="device"), verbose=0)
    except vs.VaxseqError as error:
        found["refused"] = str(error)
    return found


if __name__ == "__main__":
    print(json.dumps({"jax": by_jax, "tensorflow": by_tensorflow}[BACKEND]()))
