"""Trainings to be killed: the model counts the rows that it was trained on. Run by test_training_kills.py.

Importing takes longer than training, so one process imports, and forks for each job that comes on its standard input.
"""

from __future__ import annotations

import json
import os
import random
import sys
import traceback

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import keras
import numpy as np
import vaex

import vaxseq as vs

ROWS, BATCH = 480, 16


class Seen(keras.layers.Layer):
    """Counts how often each row came by in training, on all devices together."""

    def build(self, shape):
        self.seen = self.add_weight(
            shape=(ROWS,), initializer="zeros", trainable=False, aggregation="mean", name="seen"
        )

    def call(self, row, training=False):
        if training:
            counts = keras.ops.one_hot(keras.ops.cast(row[:, 0], "int32"), ROWS, dtype="float32")
            self.seen.assign(self.seen + devices() * keras.ops.sum(counts, axis=0))
        return row * 0


class Told(keras.callbacks.Callback):
    """Says on the standard output that training begins, and that a batch was trained on."""

    def on_train_begin(self, logs=None):
        print("begin", flush=True)

    def on_train_batch_end(self, batch, logs=None):
        print("batch", flush=True)


def devices() -> int:
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def build_model() -> keras.Model:
    random.seed(1)  # Keras draws its seeds from it; keras.utils.set_random_seed imports TensorFlow, too
    x, row = keras.Input((3,), name="x"), keras.Input((1,), name="row")
    hidden = keras.layers.Dropout(0.2, seed=4)(keras.layers.Dense(8, activation="relu")(x))
    out = keras.layers.Dense(1)(keras.layers.Concatenate()([hidden, Seen(name="seen")(row)]))
    model = keras.Model({"x": x, "row": row}, out)
    model.compile(keras.optimizers.Adam(0.01), "mse")
    return model


def build_mirrored_model() -> keras.Model:
    import tensorflow as tf

    pair = [tf.config.LogicalDeviceConfiguration(), tf.config.LogicalDeviceConfiguration()]
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], pair)
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        return build_model()


def augment(batch, rng):
    """A little noise."""
    x, y = batch
    return {**x, "x": x["x"] + rng.normal(0, 0.01, x["x"].shape)}, y


def build_sequence() -> vs.Sequence:
    rng = np.random.default_rng(0)
    columns = {name: rng.normal(size=ROWS) for name in "abcy"}
    frame = vaex.from_arrays(row=np.arange(ROWS), **columns)
    return vs.Sequence(
        frame,
        inputs={"x": ["a", "b", "c"], "row": ["row"]},
        targets="y",
        batch_size=BATCH,
        shuffle="global",
        augment=augment,
    )


def train(
    out: str,
    epochs: int,
    folder: str | None = None,
    mirrored: bool = False,
    permuted: bool = False,
    every_batches: int = 1,
) -> None:
    model = build_mirrored_model() if mirrored else build_model()
    callbacks = [Told(), vs.ResumeTraining(folder, every_batches=every_batches)] if folder else []
    model.fit(build_sequence(), epochs=epochs, verbose=0, callbacks=callbacks, shuffle=permuted)
    named = {f"{at}": np.asarray(weight) for at, weight in enumerate(model.get_weights())}
    np.savez(out + ".part.npz", seen=model.get_layer("seen").get_weights()[0], **named)
    os.replace(out + ".part.npz", out)


def main() -> None:
    """Prints ``pid N`` as a job begins, and ``ended CODE`` when it has."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                print(f"pid {os.getpid()}", flush=True)
                train(**json.loads(line))
                code = 0
            except BaseException:  # noqa: BLE001 - printed, and the exit code tells
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        print(f"\nended {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}", flush=True)


if __name__ == "__main__":
    main()
