"""Training on shares of the batches, on the backend that is set. Run by test_training_shards.py."""

from __future__ import annotations

import json
import os
import sys

BACKEND = os.environ["KERAS_BACKEND"]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if BACKEND == "jax":
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"

import keras  # noqa: E402
import numpy as np  # noqa: E402
import vaex  # noqa: E402

import vaxseq as vs  # noqa: E402

ROWS = 33  # of the last step rank 1 gets no row


def build_sequence(**options) -> vs.Sequence:
    frame = vaex.from_arrays(row=np.arange(ROWS), y=np.arange(ROWS) / ROWS)
    return vs.Sequence(frame, inputs=["row"], targets="y", batch_size=8, **{"shuffle": "global", **options})


def build_model() -> keras.Model:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Rescaling(1 / ROWS), keras.layers.Dense(1)])
    model.compile("sgd", "mse", weighted_metrics=[])
    return model


def torch_rank(rank: int, folder: str) -> dict:
    import torch
    from torch import distributed
    from torch.nn.parallel import DistributedDataParallel

    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    data = build_sequence(shard="auto")
    torch.manual_seed(rank)  # DDP gives all ranks the first one's weights
    network = DistributedDataParallel(torch.nn.Linear(1, 1))
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    rows = []
    for _ in range(2):
        for x, y, weight in data:
            optimizer.zero_grad()
            loss = (weight * (network(x / ROWS)[:, 0] - y) ** 2).mean()
            loss.backward()
            optimizer.step()
            rows += x[weight > 0][:, 0].int().tolist()
    weights = [one.detach().flatten().tolist() for one in network.parameters()]
    distributed.destroy_process_group()
    return {"rows": rows, "weights": weights, "batches": len(data)}


def jax_devices() -> dict:
    import jax

    assert len(jax.devices()) == 2
    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
    return fitted(pad=True)


def tensorflow_replicas() -> dict:
    import tensorflow as tf

    devices = [tf.config.LogicalDeviceConfiguration(), tf.config.LogicalDeviceConfiguration()]
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        model = build_model()
    return fitted(model, pad=True)


def fitted(model: keras.Model | None = None, **options) -> dict:
    model = model or build_model()
    # tf.distribute reads ahead into passes that it never uses, so the epochs that it trains aren't 0, 1, 2
    model.fit(build_sequence(shuffle=False, **options), epochs=3, shuffle=False, verbose=0)
    return {"weights": [np.asarray(one).flatten().tolist() for one in model.get_weights()]}


if __name__ == "__main__":
    mode, rank, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    if mode == "alone":
        found = fitted(pad=True)
    elif BACKEND == "torch":
        found = torch_rank(rank, folder)
    else:
        found = {"jax": jax_devices, "tensorflow": tensorflow_replicas}[BACKEND]()
    with open(f"{folder}/{mode}-{rank}.json", "w") as file:
        json.dump(found, file)
