"""An explanation's last value is what is served; a comparison of fits finds what moved and leaves alone what didn't."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vaxseq as vs
from vaxseq.cli import main
from vaxseq.errors import ColumnNotFoundError, OptionError

DEFINITION = {
    "columns": {"double": "fillna(x, 0) * 2"},
    "inputs": {
        "numeric": {
            "features": [
                {"column": "x", "steps": [{"impute": {"strategy": "mean", "indicator": True}}, "standardize"]},
                {"name": "logged", "column": "double", "steps": [{"clip": {"lower": 0}}, "log1p"]},
                {"column": "way", "steps": ["one_hot"]},
                {"column": "t", "steps": [{"cyclical": {"period": "day"}}]},
            ]
        },
        "code": {"dtype": "int32", "features": [{"column": "way", "steps": ["vocabulary"]}]},
    },
    "targets": {"y": {"column": "y"}},
}


def make_data(rows: int = 400, seed: int = 0, **changes: Any) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(
        {
            "x": rng.normal(10, 2, rows),
            "way": rng.choice(["up", "down"], rows, p=[0.7, 0.3]),
            "t": np.datetime64("2024-01-01", "s") + rng.integers(0, 10**6, rows),
            "y": rng.normal(size=rows),
        }
    )
    return data.assign(**changes)


def fit(data: pd.DataFrame) -> vs.FittedFeatures:
    return vs.FeatureSet.from_dict(DEFINITION).fit(data, progress=False)


RECORD = {"x": 12.5, "way": "down", "t": np.datetime64("2024-01-01T06:00:00")}


def test_each_step_is_shown_and_the_last_value_is_the_served_one() -> None:
    fitted = fit(make_data())
    told = fitted.explain(RECORD).plain()
    served = fitted.transform_records(RECORD)
    flat = np.concatenate([np.atleast_1d(np.asarray(told[key]["served"], np.float32)) for key in list(told)[:4]])
    np.testing.assert_array_equal(flat, served["numeric"][0])
    assert told["code.way"]["served"] == served["code"][0, 0] == 3
    assert told["numeric.x"]["raw"] == 12.5
    mean, std = (told["numeric.x"]["steps"][1]["learned"][key] for key in ("mean", "std"))
    assert told["numeric.x"]["steps"][1]["value"] == (12.5 - mean) / std
    assert told["numeric.logged"]["raw"] == 25.0
    assert [one["value"] for one in told["numeric.logged"]["steps"]] == [25.0, np.log1p(25.0)]


def test_missing_values_and_labels_are_said() -> None:
    fitted = fit(make_data())
    shown = fitted.explain({**RECORD, "x": None, "way": "sideways"})
    text = repr(shown)
    assert "missing" in text
    assert "unseen" in text
    assert shown.plain()["numeric.x"]["raw"] is None
    assert shown.plain()["numeric.x"]["served"][1] == 1.0
    assert "<table" in shown._repr_html_()


def test_of_a_series_the_last_record_is_explained() -> None:
    steps = [{"lag": {"rows": 1}}, {"impute": {"strategy": "mean"}}]
    definition = {
        "series": {"order_by": "t"},
        "inputs": {"n": {"features": [{"column": "x", "steps": steps}]}},
    }
    data = pd.DataFrame({"t": np.arange(5.0), "x": [3.0, 1.0, 4.0, 1.0, 5.0]})
    fitted = vs.FeatureSet.from_dict(definition).fit(data, progress=False)
    told = fitted.explain(data).plain()["n.x"]
    assert told["served"] == 1.0
    assert "after lag" in repr(fitted.explain(data))


def test_some_features_and_wrong_ones() -> None:
    fitted = fit(make_data())
    assert list(fitted.explain(RECORD, features="logged").plain()) == ["numeric.logged"]
    assert list(fitted.explain(RECORD, features=["code.way"]).plain()) == ["code.way"]
    with pytest.raises(OptionError, match="no feature 'loged'. Did you mean 'logged'"):
        fitted.explain(RECORD, features="loged")
    with pytest.raises(ColumnNotFoundError, match="column 'way' isn't there"):
        fitted.explain({"x": 1.0, "t": None})


def looks(shown: Any) -> dict[str, list[str]]:
    found = {key: [one["what"] for one in changes if one["look"]] for key, changes in shown.plain().items()}
    return {key: whats for key, whats in found.items() if whats}


def test_two_fits_of_like_data_have_nothing_to_look_at() -> None:
    first, second = fit(make_data(4000)), fit(make_data(4000, seed=1))
    assert looks(first.diff(second)) == {}
    assert "nothing moved far" in repr(first.diff(second))
    assert first.diff(first).plain().keys() == {"the fit"}


def test_what_moved_is_found() -> None:
    old = fit(make_data(4000))
    rng = np.random.default_rng(5)
    moved = make_data(4000, x=rng.normal(11, 2, 4000))
    assert looks(old.diff(fit(moved))) == {"numeric.x": ["standardize mean"]}
    wider = make_data(4000, x=rng.normal(10, 3, 4000))
    assert looks(old.diff(fit(wider)))["numeric.x"] == ["standardize std"]
    holes = make_data(4000, x=np.where(rng.random(4000) < 0.1, np.nan, rng.normal(10, 2, 4000)))
    assert looks(old.diff(fit(holes)))["numeric.x"] == ["missing"]
    ways = make_data(4000, way=rng.choice(["up", "down"], 4000, p=[0.3, 0.7]))
    assert set(looks(old.diff(fit(ways)))) == {"numeric.way", "code.way"}
    more = make_data(4000, way=rng.choice(["up", "down", "in"], 4000, p=[0.6, 0.3, 0.1]))
    changes = old.diff(fit(more)).plain()["code.way"]
    assert any("1 new: in" in one["change"] for one in changes)


def test_other_definitions_are_told_apart() -> None:
    first = vs.FeatureSet.from_dict(DEFINITION)
    changed = first.to_dict()
    changed["inputs"]["numeric"]["features"][1]["steps"] = ["sqrt"]
    del changed["inputs"]["code"]
    changed["columns"]["double"] = "x * 3"
    second = vs.FeatureSet.from_dict(changed)
    told = first.diff(second).plain()
    assert told["columns.double"] == {"before": "fillna(x, 0) * 2", "after": "x * 3"}
    assert told["inputs.numeric.logged"]["after"] == "double → sqrt"
    assert told["inputs.code.way"]["after"] is None
    assert first.diff(first).plain() == {}
    noted = first.to_dict()
    noted["inputs"]["numeric"]["features"][0]["unit"] = "m"
    assert "of notes alone" in repr(first.diff(vs.FeatureSet.from_dict(noted)))
    data = make_data()
    assert "numeric.logged" in looks(fit(data).diff(second.fit(data, progress=False)))


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    fit(make_data()).save("a.json")
    fit(make_data(seed=1, x=np.full(400, 3.0) + np.arange(400) % 2)).save("b.json")
    record = '{"x": 12.5, "way": "down", "t": "2024-01-01T06:00:00"}'
    Path("record.json").write_text(record)
    for given in (record, "record.json"):
        run("explain", "a.json", given, "--feature", "x", "--json")
        assert json.loads(capsys.readouterr().out)["numeric.x"]["raw"] == 12.5
    run("explain", "a.json", record, "--output", "page.html")
    assert "standardize" in capsys.readouterr().out
    assert "<table" in Path("page.html").read_text()
    run("diff", "a.json", "b.json", "--json")
    assert "numeric.x" in json.loads(capsys.readouterr().out)
    vs.FeatureSet.from_dict(DEFINITION).save("a.yaml")
    run("diff", "a.yaml", "a.yaml")
    assert "they mean the same" in capsys.readouterr().out
    run("explain", "a.json", "[1", code=2)
    assert "not JSON" in capsys.readouterr().err
    run("explain", "a.json", "nothing.json", code=2)
    assert "can't be read" in capsys.readouterr().err


def run(*arguments: str, code: int = 0) -> None:
    with pytest.raises(SystemExit) as done:
        main(list(arguments))
    assert done.value.code == code
