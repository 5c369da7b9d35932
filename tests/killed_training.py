"""A training to be killed: its model counts the rows that it was trained on. Run by test_training_kills.py."""

from __future__ import annotations

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import keras
import numpy as np
import vaex

import vaxseq as vs

ROWS, BATCH = 480, 16


class Seen(keras.layers.Layer):
    """Counts how often each row came by in training."""

    def build(self, shape):
        self.seen = self.add_weight(shape=(ROWS,), initializer="zeros", trainable=False, name="seen")

    def call(self, row, training=False):
        if training:
            ids = keras.ops.cast(row[:, 0], "int32")
            self.seen.assign(self.seen + keras.ops.sum(keras.ops.one_hot(ids, ROWS, dtype="float32"), axis=0))
        return row * 0


class Told(keras.callbacks.Callback):
    """Says on the standard output that a batch was trained on."""

    def on_train_batch_end(self, batch, logs=None):
        print("batch", flush=True)


def build_model() -> keras.Model:
    keras.utils.set_random_seed(1)
    x, row = keras.Input((3,), name="x"), keras.Input((1,), name="row")
    hidden = keras.layers.Dropout(0.2, seed=4)(keras.layers.Dense(8, activation="relu")(x))
    out = keras.layers.Dense(1)(keras.layers.Concatenate()([hidden, Seen(name="seen")(row)]))
    model = keras.Model({"x": x, "row": row}, out)
    model.compile(keras.optimizers.Adam(0.01), "mse")
    return model


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


def main(folder: str, out: str, epochs: int) -> None:
    model = build_model()
    callbacks = [Told(), vs.ResumeTraining(folder, every_batches=1)] if folder else []
    model.fit(build_sequence(), epochs=epochs, verbose=0, callbacks=callbacks, shuffle=bool(folder and os.getpid() % 2))
    named = {f"{at}": np.asarray(weight) for at, weight in enumerate(model.get_weights())}
    np.savez(out + ".part.npz", seen=model.get_layer("seen").get_weights()[0], **named)
    os.replace(out + ".part.npz", out)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
