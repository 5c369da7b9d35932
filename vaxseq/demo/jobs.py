"""The three samples: numbers and categories, sensors in time, an array a row."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import Input, Model, Sequential, layers, optimizers

from vaxseq.demo.job import Array, Job
from vaxseq.demo.scores import accuracy, auc, r2


def _flights_model(inputs: Any) -> Any:
    """One matrix of numbers, and two codes that are embedded."""
    numeric = Input(inputs["numeric"].shape[1:], name="numeric")
    carrier, destination = Input((1,), dtype="int32", name="carrier"), Input((1,), dtype="int32", name="destination")
    x = layers.Concatenate()(
        [
            numeric,
            layers.Flatten()(layers.Embedding(34, 4)(carrier)),  # 32 carriers, missing, unseen
            layers.Flatten()(layers.Embedding(130, 8)(destination)),
        ]
    )
    x = layers.Dropout(0.3)(layers.Dense(64, activation="relu")(x))
    late = layers.Dense(1, activation="sigmoid")(x)
    model = Model({"numeric": numeric, "carrier": carrier, "destination": destination}, late)
    model.compile(optimizers.Adam(2e-3), "binary_crossentropy")
    return model


def _turbines_model(inputs: Any) -> Any:
    model = Sequential(
        [
            Input(inputs.shape[1:]),
            layers.Dense(64, activation="relu"),
            layers.Dense(64, activation="relu"),
            layers.Dense(1),
        ]
    )
    model.compile(optimizers.Adam(3e-3), "mse")
    return model


def _digits_model(inputs: Any) -> Any:
    model = Sequential(
        [
            Input(inputs.shape[1:]),
            layers.Conv2D(32, 3, activation="relu", padding="same"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.2),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizers.Adam(2e-3), "sparse_categorical_crossentropy")
    return model


def _mean(train: Array, rows: int) -> Array:
    return np.full(rows, train.mean())


def _commonest(train: Array, rows: int) -> Array:
    return np.tile(np.bincount(train, minlength=10) / len(train), (rows, 1))


FLIGHTS = Job(
    title="Flights: does it land 30 or more minutes late?",
    source="nycflights_2013_01.csv.gz",
    definition="flights.features.yaml",
    dataset="flights.arrow",
    split={"fractions": {"train": 0.8, "test": 0.2}, "by": "hash", "key": "tailnum"},
    model=_flights_model,
    epochs=12,
    batch_size=256,
    measure="AUC",
    score=auc,
    baseline="the same chance for all",
    guess=_mean,
    on_missing="drop",  # a flight that never arrived is neither late nor on time
)

TURBINES = Job(
    title="Turbines: how much power in this wind?",
    source="la_haute_borne_2014_01_02.csv.gz",
    definition="turbines.features.yaml",
    dataset="turbines.hdf5",
    split={"fractions": {"train": 0.75, "test": 0.25}, "by": "time", "key": "Date_time"},
    model=_turbines_model,
    epochs=8,
    batch_size=256,
    measure="R²",
    score=r2,
    baseline="the mean power",
    guess=_mean,
    on_missing="drop",  # four readings have no power
)

DIGITS = Job(
    title="Digits: which one is it?",
    source="digits.parquet",
    definition="digits.features.yaml",
    dataset="digits.arrow",
    split={"fractions": {"train": 0.75, "test": 0.25}, "by": "random"},
    model=_digits_model,
    epochs=16,
    batch_size=64,
    measure="accuracy",
    score=accuracy,
    baseline="the commonest digit",
    guess=_commonest,
)

JOBS = {"flights": FLIGHTS, "turbines": TURBINES, "digits": DIGITS}
