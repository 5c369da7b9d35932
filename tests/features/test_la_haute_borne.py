"""All of La Haute Borne: two years of four turbines, clock changes, gaps and holes; power, and power an hour ahead.

The data is ENGIE's, in the source archive of openoa 3.2. VAXSEQ_TEST_OPENOA names that archive:
pip download --no-deps --no-binary :all: openoa==3.2
"""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers

import vaxseq as vs

ARCHIVE = os.environ.get("VAXSEQ_TEST_OPENOA", "")
INSIDE = "openoa-3.2/examples/data/la_haute_borne.zip"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not ARCHIVE, reason="VAXSEQ_TEST_OPENOA doesn't name openoa-3.2.tar.gz, which has the data"),
    pytest.mark.filterwarnings("ignore:.*the same 'Date_time' as the row before:UserWarning"),
]

TRAIN, TEST = "Date_time < '2015-01-01'", "Date_time >= '2015-01-01'"
TURBINE, TIME, GAP = "Wind_turbine_name", "Date_time", "30min"
MEAN: dict[str, Any] = {"impute": {"strategy": "mean"}}
NUMBER: list[Any] = [MEAN, "standardize"]
SPREAD: dict[str, Any] = {"rolling": {"rows": 6, "statistic": "std", "min_rows": 2}}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("turbines")
    with tarfile.open(ARCHIVE) as archive:
        packed = archive.extractfile(INSIDE)
        assert packed is not None
        with zipfile.ZipFile(io.BytesIO(packed.read())) as files:
            files.extract("la-haute-borne-data-2014-2015.csv", folder)
    made = folder / "turbines.arrow"
    vs.convert(folder / "la-haute-borne-data-2014-2015.csv", made, sort_by=[TURBINE, TIME], progress=False)
    (folder / "la-haute-borne-data-2014-2015.csv").unlink()
    return made


def definition(features: list[dict[str, Any]]) -> vs.FeatureSet:
    return vs.FeatureSet.from_dict(
        {
            "series": {"group_by": TURBINE, "order_by": TIME, "max_gap": GAP},
            "inputs": {"x": {"features": features}},
            "targets": {"power": {"column": "P_avg", "steps": ["standardize"]}},
        }
    )


def arrays(sequence: vs.Sequence) -> tuple[np.ndarray, np.ndarray]:
    batches = [sequence.batch(0, number) for number in range(len(sequence))]
    return tuple(np.concatenate([np.asarray(one[part]) for one in batches]) for part in (0, 1))  # type: ignore[return-value]


def rmse(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.sqrt(np.mean((one.reshape(-1) - other.reshape(-1)) ** 2)))


def test_what_looks_back_equals_pandas_on_all_rows(data: Path) -> None:
    frame = vs.open(data)
    assert len(frame) == 420_480
    rows = frame.to_pandas_df()
    assert rows.duplicated([TURBINE, TIME]).sum() == 48
    steps: dict[str, Any] = {
        "lag": {"lag": 6},
        "mean": {"rolling": {"rows": 12, "min_rows": 3}},
        "std": {"rolling": {"rows": 144, "statistic": "std"}},
        "ewm": {"ewm": 6},
    }
    zero = {"impute": {"strategy": "constant", "value": -1.0}}
    features = [{"column": "Ws_avg", "name": name, "steps": [step, zero]} for name, step in steps.items()]
    raw = definition(features).to_dict()
    raw["series"].pop("max_gap")
    raw["inputs"]["x"]["dtype"] = "float64"
    fitted = vs.FeatureSet.from_dict(raw).fit(frame, progress=False)
    got, _ = arrays(vs.Sequence(frame, fitted, where="P_avg == P_avg", batch_size=65_536, shuffle=False))
    wind = rows.groupby(rows[TURBINE].astype(str)).Ws_avg
    rolled = [wind.rolling(12, min_periods=3).mean(), wind.rolling(144).std(), wind.ewm(halflife=6).mean()]
    wanted = np.column_stack([wind.shift(6), *(one.to_numpy() for one in rolled)])
    wanted = pd.DataFrame(wanted).fillna(-1.0).to_numpy()[rows.P_avg.notna()]
    np.testing.assert_allclose(got, wanted, rtol=1e-9)


def test_power_from_wind_vane_and_temperature(data: Path) -> None:
    frame = vs.open(data)
    features = [
        {"column": "Ws_avg", "steps": NUMBER},
        {"column": "Ws_avg", "name": "before", "steps": ["lag", *NUMBER]},
        {"column": "Ws_avg", "name": "gusts", "steps": [SPREAD, *NUMBER]},
        {"column": "Va_avg", "steps": [MEAN, {"cyclical": {"period": 360}}]},
        {"column": "Ot_avg", "steps": NUMBER},
    ]
    fitted = definition(features).fit(frame, where=TRAIN, progress=False)
    keras.utils.set_random_seed(1)
    train = vs.Sequence(frame, fitted, where=TRAIN, batch_size=512, shuffle="global", seed=1, on_missing="drop")
    test = vs.Sequence(frame, fitted, where=TEST, batch_size=8192, shuffle=False, on_missing="drop")
    dense = [layers.Dense(64, activation="relu"), layers.Dense(64, activation="relu"), layers.Dense(1)]
    model = keras.Sequential([keras.Input((6,)), *dense])
    model.compile(keras.optimizers.Adam(2e-3), "mse")
    model.fit(train, epochs=4, verbose=0, shuffle=False)
    x, y = arrays(test)
    predicted = model.predict(x, batch_size=8192, verbose=0)
    assert 1 - rmse(predicted, y) ** 2 / y.var() >= 0.95


@dataclass(frozen=True)
class Forecast:
    """One way to forecast: which features of ``PAST``, over how many rows, by how large a network, how long trained."""

    features: tuple[str, ...]
    length: int
    units: tuple[int, ...]
    epochs: int


PAST: dict[str, dict[str, Any]] = {
    "power": {"column": "P_avg", "steps": NUMBER},
    "hour_mean": {"column": "P_avg", "steps": [{"ewm": 6}, *NUMBER]},
    "day_mean": {"column": "P_avg", "steps": [{"ewm": 72}, *NUMBER]},
    "spread": {"column": "P_avg", "steps": [SPREAD, *NUMBER]},
    "wind": {"column": "Ws_avg", "steps": NUMBER},
    "trend": {"column": "Ws_avg", "steps": [{"diff": 6}, *NUMBER]},
    "long_trend": {"column": "Ws_avg", "steps": [{"diff": 18}, *NUMBER]},
    "slow_wind": {"column": "Ws_avg", "steps": [{"ewm": 18}, *NUMBER]},
    "direction": {"column": "Wa_avg", "steps": [MEAN, {"cyclical": {"period": 360}}]},
    "air": {"column": "Ot_avg", "steps": NUMBER},
    "time_of_day": {"expr": "Date_time.dt.hour", "steps": [{"cyclical": {"period": 24}}]},
}
NOW = ("power", "wind")
CANDIDATES = [
    Forecast(NOW, 6, (48, 24), 2),
    Forecast(NOW, 12, (48, 24), 2),
    Forecast(NOW, 12, (96, 48), 2),
    Forecast(NOW, 36, (48, 24), 2),
    Forecast(tuple(PAST), 6, (48, 24), 2),
    Forecast(tuple(PAST), 12, (48, 24), 2),
]
EARLY, LATE = "Date_time < '2014-10-01'", "Date_time >= '2014-10-01' and Date_time < '2015-01-01'"


def errors(frame: Any, one: Forecast, learned: str, judged: str) -> tuple[float, float, int]:
    """RMSE of a model and of persistence an hour ahead, and on how many windows; all is learned from ``learned``."""
    fitted = definition([{**PAST[name], "name": name} for name in one.features]).fit(
        frame, where=learned, progress=False
    )
    window = vs.Window(one.length, group_by=TURBINE, order_by=TIME, horizon=6, max_gap=GAP)
    options: dict[str, Any] = {"window": window, "on_missing": "drop"}
    keras.utils.set_random_seed(1)
    train = vs.Sequence(frame, fitted, where=learned, batch_size=1024, shuffle="global", seed=1, **options)
    inputs = keras.Input(train.inputs["x"].shape)
    change = layers.Flatten()(inputs)
    for units in one.units:
        change = layers.Dense(units, activation="relu")(change)
    change = layers.Dense(1, kernel_initializer="zeros")(change)
    model = keras.Model(inputs, layers.Add()([inputs[:, -1, :1], change]))
    rate = keras.optimizers.schedules.CosineDecay(1e-3, one.epochs * len(train))
    model.compile(keras.optimizers.Adam(rate), "mse")
    model.fit(train, epochs=one.epochs, verbose=0, shuffle=False)
    test = vs.Sequence(frame, fitted, where=judged, batch_size=8192, shuffle=False, **options)
    truth, now = [], []
    for number in range(len(test)):
        x, y = test.batch(0, number)
        truth.append(np.asarray(y))
        now.append(np.asarray(x)[:, -1, 0])
    y = np.concatenate(truth)
    return rmse(model.predict(test, verbose=0), y), rmse(np.concatenate(now), y), len(y)


def chosen(frame: Any) -> Forecast:
    """The candidate that is best in the last quarter of 2014, having learned from those before it."""
    return min(CANDIDATES, key=lambda one: errors(frame, one, EARLY, LATE)[0])


@pytest.mark.timeout(1200)  # seven trainings
def test_an_hour_ahead_from_windows_beats_persistence(data: Path) -> None:
    frame = vs.open(data)
    ours, persistence, count = errors(frame, chosen(frame), TRAIN, TEST)
    assert count > 200_000
    assert ours <= 0.95 * persistence
