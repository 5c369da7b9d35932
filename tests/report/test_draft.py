"""A draft fits, says why, leaves out what gives the target away, and learns as well as the shipped definitions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import vaex

import vaxseq as vs
from vaxseq.cli import main
from vaxseq.errors import ColumnNotFoundError, OptionError
from vaxseq.report.drafting.choice import choose

ROWS = 3000


def make_frame(rows: int = ROWS) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    x = rng.normal(size=rows)
    heavy = rng.lognormal(0, 2, rows)
    y = x + 0.1 * np.log1p(heavy) + rng.normal(size=rows) * 0.5
    holes = np.where(rng.random(rows) < 0.05, np.nan, rng.normal(size=rows))
    return pd.DataFrame(
        {
            "x": x,
            "heavy": heavy,
            "holes": holes,
            "kind": rng.choice(["a", "b", "c"], rows),
            "shop": rng.choice([f"s{number}" for number in range(200)], rows),
            "uuid": [f"{number:08x}" for number in rng.permutation(rows)],
            "row": np.arange(rows),
            "same": 7,
            "hour": rng.integers(0, 24, rows),
            "flag": rng.random(rows) < 0.3,
            "when": np.datetime64("2024-01-01T00:00", "s") + rng.integers(0, 400 * 86400, rows).astype("m8[s]"),
            "unix": 1.4e9 + rng.normal(size=rows) * 1000,
            "y": y,
        }
    )


def named(fs: vs.FeatureSet) -> dict[str, list[Any]]:
    """Feature name -> its steps as they are written, over all inputs."""
    found = {}
    for block in fs.to_dict()["inputs"].values():
        for feature in block["features"]:
            found[feature.get("name") or feature["column"]] = feature.get("steps", [])
    return found


def left_out(fs: vs.FeatureSet) -> dict[str, str]:
    lines = [line[4:] for line in fs.to_yaml().splitlines() if line.startswith("#   ")]
    return dict(line.split(": ", 1) for line in lines)


def test_steps_follow_what_the_columns_hold() -> None:
    fs = vs.draft(make_frame(), "y", progress=False)
    steps = named(fs)
    assert steps["x"] == ["standardize"]
    assert steps["heavy"] == ["log1p", "standardize"]
    assert steps["holes"] == [{"impute": {"strategy": "median", "indicator": True}}, "standardize"]
    assert steps["kind"] == [{"one_hot": {"max_size": 8}}]
    assert steps["shop"] == [{"vocabulary": {"max_size": 256}}]
    assert steps["hour"] == [{"cyclical": {"period": 24}}]
    assert steps["when_day"] == [{"cyclical": {"period": "day"}}]
    assert steps["when_year"] == [{"cyclical": {"period": "year"}}]
    assert fs.inputs["numeric"].features[-1].expr.text.startswith("unix - 1")
    assert fs.inputs["shop"].dtype == "int32"
    assert set(left_out(fs)) == {"uuid", "row", "same", "y"}
    assert left_out(fs)["row"] == "it numbers the rows"
    assert left_out(fs)["same"] == "it is always 7"


def test_it_passes_check_fits_and_serves() -> None:
    data = make_frame()
    fs = vs.draft(data, "y", progress=False)
    fs.check(data)
    fitted = fs.fit(data, progress=False)
    train = vs.Sequence(data, fitted, batch_size=100)
    x, y = train.batch(0, 0)
    assert np.isfinite(np.asarray(x["numeric"])).all()  # torch gets its own tensors
    assert np.isfinite(np.asarray(y)).all()
    fitted.to_keras()


def test_every_feature_has_its_reason_and_the_comments_stay(tmp_path: Path) -> None:
    fs = vs.draft(make_frame(), "y", progress=False)
    lines = fs.to_yaml().splitlines()
    features = [number for number, line in enumerate(lines) if line.lstrip().startswith("- {")]
    assert len(features) == len(named(fs))
    assert all(lines[number - 1].lstrip().startswith("# ") for number in features)
    fs.save(tmp_path / "features.yaml")
    again = vs.FeatureSet.load(tmp_path / "features.yaml")
    assert again == fs
    assert again.to_yaml() == fs.to_yaml() == (tmp_path / "features.yaml").read_text()


def test_a_definition_of_plain_values_has_a_text_too() -> None:
    feature = {"column": "no", "steps": [{"impute": {"strategy": "constant", "value": 1.5}}]}
    fs = vs.FeatureSet.from_dict({"inputs": {"x": {"features": [feature]}}})
    assert vs.FeatureSet.from_text(fs.to_yaml()) == fs


def test_it_is_deterministic() -> None:
    first = vs.draft(make_frame(), "y", progress=False)
    shuffled = make_frame()[make_frame().columns[::1]]
    assert vs.draft(shuffled, "y", progress=False).to_yaml() == first.to_yaml()
    assert vs.draft(pa.table(make_frame()), "y", progress=False).to_yaml() == first.to_yaml()


def planted(y: np.ndarray, x: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "copy": y.copy(),
        "moved": y + 100,
        "scaled": 3 * y - 2,
        "cubed": y**3,
        "made_with_x": 2 * y + 5 * x,
        "times_x": np.exp(y) * np.exp(x),
        "row_before": np.concatenate([[np.nan], y[:-1]]),
        "row_after": np.concatenate([y[1:], [np.nan]]),
        "above": (y > 0.5) + 0.1 * y,
        "flag": (y > 0.5).astype(float),
        "in_words": np.where(y > 1, "high", np.where(y > -1, "middle", "low")),
        "almost_a_flag": np.where(np.random.default_rng(3).random(len(y)) < 0.002, 0, y > 0.5),
    }


@pytest.mark.parametrize("name", planted(np.ones(3), np.ones(3)))
def test_what_is_made_of_a_number_is_left_out_and_named(name: str) -> None:
    data = make_frame()[["x", "heavy", "holes", "kind", "y"]]
    data[name] = planted(data["y"].to_numpy(), data["x"].to_numpy())[name]
    fs = vs.draft(data, "y", progress=False)
    assert name in left_out(fs)
    assert {"x", "heavy", "holes", "kind"} <= set(named(fs))
    assert set(left_out(fs)) == {"y", name}


@pytest.mark.parametrize("noise", [0.1, 0.3])
def test_what_only_goes_with_a_range_of_the_target_stays(noise: float) -> None:
    data = make_frame()[["x", "kind", "y"]]
    rng = np.random.default_rng(4)
    data["often_above"] = np.where(rng.random(ROWS) < noise, rng.random(ROWS) < 0.5, data["y"] > 0.5)
    data["coin"] = rng.random(ROWS) < 0.5
    assert not set(left_out(vs.draft(data, "y", progress=False))) & {"often_above", "coin"}


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("rows", [-2, 1])
def test_the_target_of_a_series_other_rows_is_left_out_and_named(rows: int, named: bool) -> None:
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"when": np.repeat(np.arange(800), 4), "x": rng.normal(size=3200)})
    data["device"] = np.concatenate([rng.permutation(["a", "b", "c", "d"]) for _ in range(800)])
    data["y"] = rng.normal(size=3200)
    data["planted"] = data.groupby("device").y.shift(rows)
    series = {"group_by": "device", "order_by": "when"} if named else {}
    lost = left_out(vs.draft(data, "y", progress=False, **series))
    assert lost["planted"] == f"it is the target of {'1 row before' if rows > 0 else '2 rows after'} in each device"
    assert set(lost) - {"when"} == {"y", "planted"}


def three(rows: int = ROWS) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    made = {name: rng.lognormal(1, 0.4, rows) for name in ("a", "b", "c", "d")}
    made["e"] = np.where(rng.random(rows) < 0.3, np.nan, rng.normal(size=rows))
    return pd.DataFrame(made)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda d: d.a + 3 * d.b - d.c, {"a", "b", "c"}),
        (lambda d: d.a * d.b / d.c, {"a", "b", "c"}),
        (lambda d: d.a - d.b + d.c + 2 * d.d, {"a", "b", "c", "d"}),
        (lambda d: d.a**2 * d.b / np.sqrt(d.c) * d.d, {"a", "b", "c", "d"}),
        (lambda d: (d.a + d.b - d.c).astype(np.float32), {"a", "b", "c"}),
    ],
    ids=["sum", "product", "four", "powers", "float32"],
)
def test_an_exact_formula_of_many_columns_loses_one_of_them(make: Any, told: set[str]) -> None:
    data = three()
    data["y"] = make(data)
    lost = left_out(vs.draft(data, "y", progress=False))
    (name,) = set(lost) - {"y"}
    others = lost[name].removeprefix("with ").removesuffix(" it gives the target exactly").split(", ")
    assert {name, *others} == told


@pytest.mark.parametrize("noise", [0.02, 0.2])
def test_a_formula_that_is_not_exact_loses_nothing(noise: float) -> None:
    data = three()
    for y in (data.a + data.b - data.c, data.a * data.b / data.c):
        data["y"] = y * (1 + noise * np.random.default_rng(6).normal(size=ROWS))
        assert set(left_out(vs.draft(data, "y", progress=False))) == {"y"}


def test_many_columns_that_span_a_target_prove_nothing() -> None:
    rng = np.random.default_rng(7)
    data = pd.DataFrame({f"c{place}": rng.normal(size=ROWS) for place in range(12)})
    data["y"] = data.sum(axis=1)
    assert set(left_out(vs.draft(data, "y", progress=False))) == {"y"}
    few = three(50)
    few["y"] = few.a + few.b - few.c
    assert set(left_out(vs.draft(few, "y", progress=False))) == {"y"}


def test_a_copy_of_a_target_with_a_heavy_tail_is_found() -> None:
    data = make_frame()[["x", "heavy", "kind"]]
    data["same_in_cents"] = (data["heavy"] * 100).round()
    assert set(left_out(vs.draft(data, "heavy", progress=False))) == {"heavy", "same_in_cents"}


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("copy", lambda y: y.copy()),
        ("word", lambda y: np.where(y > 0, "late", "in time")),
        ("moved", lambda y: 10 - 3 * y),
        ("row_before", lambda y: np.concatenate([[0], y[:-1]])),
        ("noisy", lambda y: y + np.random.default_rng(0).normal(size=len(y)) * 0.1),
    ],
)
def test_what_is_made_of_yes_or_no_is_left_out_and_named(name: str, make: Any) -> None:
    data = make_frame()[["x", "holes", "kind"]]
    data["y"] = (data["x"] + np.random.default_rng(1).normal(size=ROWS) > 1).astype(int)
    data[name] = make(data["y"].to_numpy())
    fs = vs.draft(data, "y", progress=False)
    assert set(left_out(fs)) == {"y", name}
    assert fs.targets["y"].dtype == "float32"


def test_what_an_expression_reads_is_left_out() -> None:
    data = make_frame()
    data["minutes"] = data["y"] * 60
    for target in ("y >= 1", vaex.from_pandas(data).y >= 1):
        fs = vs.draft(data, target, progress=False)
        assert {"y", "minutes"} <= set(left_out(fs))
        assert fs.targets["target"].expr.text == "y >= 1"
        fs.fit(data, progress=False)


def test_targets_of_each_kind() -> None:
    data = make_frame()
    data["sign"] = np.where(data["y"] > 0, "yes", "no")
    data["level"] = np.clip(data["y"].round(), -2, 2).astype(int) + 2
    data["two"] = np.where(data["x"] + np.random.default_rng(0).normal(size=ROWS) > 0, 5, 3)
    assert vs.draft(data, "y", progress=False).targets["y"].steps[0].name == "standardize"
    assert vs.draft(data, "sign", progress=False).targets["sign"].classes
    assert vs.draft(data, "level", progress=False).targets["level"].classes
    assert [step.name for step in vs.draft(data, "two", progress=False).targets["two"].steps] == ["min_max"]
    assert not vs.draft(data, progress=False).targets


def make_series() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    groups = np.repeat(["p", "q", "r"], 400)
    value = rng.normal(size=1200).cumsum()
    return pd.DataFrame(
        {
            "device": groups,
            "t": np.tile(np.datetime64("2024-01-01", "m") + np.arange(400) * 10, 3),
            "value": value,
            "y": np.abs(value) + rng.normal(size=1200) * 9,
        }
    )


def test_series_get_lags_and_a_window_is_proposed() -> None:
    data = make_series()
    fs = vs.draft(data, "y", group_by="device", order_by="t", progress=False)
    assert fs.series is not None
    assert {"value", "value_lag_1", "value_mean_6", "t_day"} <= set(named(fs))
    proposed = next(line[2:] for line in fs.to_yaml().splitlines() if line.startswith("# window: "))
    windowed = vs.FeatureSet.from_text(fs.to_yaml().replace(f"# {proposed}", proposed))
    assert windowed.window is not None
    fitted = fs.fit(data, progress=False)
    assert vs.Sequence(data, fitted, batch_size=64).num_rows == 1200
    assert vs.Sequence(data, windowed.fit(data, progress=False), batch_size=64).num_rows == 3 * (400 - 23)


def test_rows_that_are_in_no_order_get_no_lags_and_are_told_why() -> None:
    data = make_series().sample(frac=1, random_state=0)
    fs = vs.draft(data, "y", group_by="device", order_by="t", progress=False)
    assert fs.series is None
    assert "# No features of the past: " in fs.to_yaml()
    fs.fit(data, progress=False)


@pytest.mark.parametrize("form", ["%Y-%m-%dT%H:%M:%S+00:00", "%Y-%m-%d", "%d.%m.%Y %H:%M", "%m/%d/%Y"])
def test_times_that_are_text_are_named_with_what_to_do(form: str) -> None:
    data = make_frame()[["x", "kind", "y"]]
    data["t"] = pd.date_range("2024-01-05", periods=ROWS, freq="6h").strftime(form)
    data.loc[3, "t"] = None
    data["code"] = [f"2024-{row % 9}" for row in range(ROWS)]
    lost = left_out(vs.draft(data, "y", progress=False))
    assert lost["t"].startswith("times that are text, as '") and "pandas.to_datetime" in lost["t"]
    assert set(lost) == {"t", "y"}


def test_codes_of_vaex_are_categories() -> None:
    frame = vaex.from_arrays(
        plan=np.random.default_rng(0).integers(0, 60, ROWS), y=np.random.default_rng(1).normal(size=ROWS)
    )
    frame.categorize("plan", labels=[f"plan {number}" for number in range(60)], min_value=0, inplace=True)
    steps = named(vs.draft(frame, "y", progress=False))
    assert steps["plan"] == [{"vocabulary": {"max_size": 64}}]


def test_odd_names_and_hostile_text_are_only_text() -> None:
    data = pd.DataFrame(
        {
            "wind speed (m/s)": np.random.default_rng(0).normal(size=300),
            "inputs: {}": np.random.default_rng(1).normal(size=300),
            "a\nversion: 2": np.random.default_rng(2).choice(["x\n- y", "# z"], 300),
            "no": np.random.default_rng(3).normal(size=300),
            "target": np.random.default_rng(3).choice([f"w{number}" for number in range(30)], 300),
            "constant\n}": 1,
        }
    )
    fs = vs.draft(data, "no", progress=False)
    assert set(named(fs)) == {"wind speed (m/s)", "inputs: {}", "a\nversion: 2", "target"}
    fs.fit(data, progress=False)


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"target": "z"}, ColumnNotFoundError, "draft target: column 'z' isn't in the data"),
        ({"target": "same"}, OptionError, "draft target 'same': it has no two values"),
        ({"target": "when"}, OptionError, "draft target 'when': got datetime64"),
        ({"target": "y", "group_by": "shops"}, ColumnNotFoundError, "column 'shops' isn't .* Did you mean 'shop'"),
        ({"target": "y", "exclude": "nothing_*"}, ColumnNotFoundError, "draft exclude: 'nothing_"),
        ({"target": "y", "exclude": "*"}, OptionError, "no column is left to learn from. "),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        vs.draft(make_frame(), progress=False, **options)


def test_choices_of_single_columns() -> None:
    clock = [100 * hour + minute for hour in range(24) for minute in range(0, 60, 5)]
    found = vs.explore({"clock": np.tile(clock, 5), "angle": np.linspace(0, 359.9, 1440)}, progress=False)
    (one,) = choose(found["clock"])
    assert one.derived == {"clock_minutes": "clock // 100 * 60 + clock % 100"}
    (one,) = choose(found["angle"])
    assert one.steps == ({"cyclical": {"period": 360}},)


def test_the_command_writes_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    vs.convert(make_frame(), "d.arrow", progress=False)
    arguments = ["draft", "d.arrow", "--target", "y", "--exclude", "when*", "--exclude", "x", "-o", "f.yaml"]
    with pytest.raises(SystemExit) as done:
        main(arguments)
    assert done.value.code == 0
    assert "written: f.yaml" in capsys.readouterr().out
    fs = vs.FeatureSet.load("f.yaml")
    assert "x" not in named(fs)
    with pytest.raises(SystemExit) as done:
        main(arguments)
    assert done.value.code == 2
    assert "--overwrite" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*arguments, "--overwrite", "--json"])
    assert json.loads(capsys.readouterr().out) == fs.to_dict()


SAMPLES = {
    "flights": ("nycflights_2013_01.csv.gz", "arr_delay >= 30", ["dep_time", "dep_delay", "arr_time", "air_time"]),
    "turbines": ("la_haute_borne_2014_01_02.csv.gz", "P_avg", []),
    "digits": ("digits.parquet", "digit", []),
}


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.slow
def test_a_draft_learns_about_as_well_as_the_shipped_definition(name: str, samples: Path, tmp_path: Path) -> None:
    file, target, unknown = SAMPLES[name]
    vs.convert(samples / file, tmp_path / "data.arrow", progress=False)
    frame = vs.open(tmp_path / "data.arrow")
    how = {"by": "time", "key": "Date_time"} if name == "turbines" else {"by": "random"}
    parts = vs.split(frame, {"train": 0.75, "test": 0.25}, **how)
    drafted = vs.draft(parts["train"], target, exclude=unknown, progress=False)
    shipped = vs.FeatureSet.load(samples / f"{name}.features.yaml")
    assert learned(name, parts, drafted) >= 0.98 * learned(name, parts, shipped)


def learned(name: str, parts: Any, fs: vs.FeatureSet) -> float:
    """The score of a learner of scikit-learn's on a definition's features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import accuracy_score, r2_score, roc_auc_score
    from sklearn.preprocessing import OneHotEncoder
    from sklearn.tree import DecisionTreeRegressor

    fitted = fs.fit(parts["train"], progress=False)
    (x, codes, y), (far, far_codes, truth) = (matrices(parts[part], fitted) for part in ("train", "test"))
    if name == "flights":
        encoder = OneHotEncoder(handle_unknown="ignore").fit(codes)
        x, far = (sparse([one, encoder.transform(two)]) for one, two in ((x, codes), (far, far_codes)))
        model = LogisticRegression(max_iter=60, C=0.1, solver="liblinear").fit(x, y)
        return float(roc_auc_score(truth, model.predict_proba(far)[:, 1]))
    if name == "turbines":
        tree = DecisionTreeRegressor(min_samples_leaf=40, random_state=0).fit(x, y)
        return float(r2_score(truth, tree.predict(far)))
    return float(accuracy_score(truth, LogisticRegression(max_iter=400).fit(x, y).predict(far)))


def sparse(parts: list[Any]) -> Any:
    from scipy.sparse import csr_matrix, hstack

    return hstack([csr_matrix(one) for one in parts]).tocsr()


def matrices(frame: Any, fitted: vs.FittedFeatures) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers, codes and the target of all rows."""
    sequence = vs.Sequence(frame, fitted, batch_size=1 << 16, on_missing="drop")
    x, y = sequence.batch(0, 0)
    arrays = [np.asarray(one) for one in (x.values() if isinstance(x, dict) else [x])]
    numbers = [one.reshape(len(y), -1) for one in arrays if one.dtype.kind == "f"]
    codes = [one.reshape(len(y), -1) for one in arrays if one.dtype.kind == "i"]
    return np.concatenate(numbers, axis=1), np.concatenate(codes or [np.zeros((len(y), 1))], axis=1), np.asarray(y)
