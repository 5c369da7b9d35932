"""The report finds what was planted in the flights, and is silent about the clean copy."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
import vaex

import vaxseq as vs
from vaxseq.cli import main
from vaxseq.errors import ColumnNotFoundError, OptionError
from vaxseq.features.tables.preview import preview
from vaxseq.report.drift import drift
from vaxseq.report.formatting import share


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("VAXSEQ_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def flights(tmp_path_factory, samples):
    path = tmp_path_factory.mktemp("flights") / "flights.arrow"
    vs.convert(samples / "nycflights_2013_01.csv.gz", path, progress=False)
    return path


def parted(frame):
    return vs.split(frame, {"train": 0.8, "test": 0.2}, by="hash", key="tailnum")


def definition(samples, extra=()):
    found = vs.FeatureSet.load(samples / "flights.features.yaml").to_dict()
    found["inputs"]["numeric"]["features"] += list(extra)
    return vs.FeatureSet.from_dict(found)


def test_the_clean_flights_are_silent(flights, samples, tmp_path):
    frame = vs.open(flights)
    parts = parted(frame)
    fitted = definition(samples).fit(parts["train"], progress=False)
    for by in (parts, vs.split(frame, {"train": 0.8, "test": 0.2}, by="random")):
        done = vs.report(frame, tmp_path / "clean.html", fitted, by, progress=False)
        assert done.findings == ()
    times = vs.split(frame, {"train": 0.7, "test": 0.3}, by="time", key="time_hour")
    found = vs.report(frame, tmp_path / "times.html", fitted, times, progress=False).findings
    # days of a month are others in a later part, and that is so; nothing else may be told
    assert {one.column for one in found} <= {"day", "numeric__day"}


def test_a_column_made_from_the_target_is_found(flights, samples, tmp_path):
    frame = vs.open(flights)
    parts = parted(frame)
    fitted = definition(samples, [{"name": "speed", "expr": "arr_delay * 0.5 + distance * 0.001"}]).fit(
        parts["train"], where="arr_delay > -1000", progress=False
    )
    found = vs.report(frame, tmp_path / "leak.html", fitted, parts, progress=False).findings
    assert [(one.title, one.column) for one in found] == [("Likely leak", "numeric__speed")]
    assert "alone tells target__late" in found[0].text


def test_drift_is_found(flights, samples, tmp_path):
    frame = vs.open(flights)
    parts = parted(frame)
    fitted = definition(samples).fit(parts["train"], progress=False)
    moved = parts["test"].copy()
    moved["distance"] = (moved.distance * 1.3).astype("int64")
    found = vs.report(frame, tmp_path / "drift.html", fitted, {**parts, "test": moved}, progress=False).findings
    assert {one.column for one in found} == {"distance", "numeric__distance"}
    assert all(one.title == "Drift" for one in found)
    assert any("its mean is" in one.text for one in found)


def test_groups_in_two_parts_are_found(flights, tmp_path):
    frame = vs.open(flights)
    parts = vs.split(frame, {"train": 0.8, "test": 0.2}, by="group", key="tailnum")
    clean = vs.report(frame, tmp_path / "a.html", splits=parts, groups=["tailnum"], progress=False)
    # the largest planes go to train first, so the carriers differ; but no plane is in both
    assert {one.title for one in clean.findings} == {"Drift"}
    train = parts["train"].to_arrow_table()
    test = pa.concat_tables([parts["test"].to_arrow_table(), train.slice(0, 8)])
    slipped = {"train": vaex.from_arrow_table(train), "test": vaex.from_arrow_table(test)}
    for groups in ([], ["tailnum"]):  # a few that slipped through are found without being named
        found = vs.report(frame, tmp_path / "b.html", splits=slipped, groups=groups, progress=False).findings
        assert [one.column for one in found if one.title == "Parts that aren't apart"] == ["tailnum"]
    rows = vs.split(frame, {"train": 0.8, "test": 0.2}, by="random")
    found = vs.report(frame, tmp_path / "c.html", splits=rows, groups=["tailnum"], progress=False).findings
    assert [one.column for one in found] == ["tailnum"]
    with pytest.raises(ColumnNotFoundError, match="groups 'tailnumb'.*Did you mean 'tailnum'"):
        vs.report(frame, tmp_path / "d.html", splits=rows, groups=["tailnumb"], progress=False)


def test_times_in_two_parts_are_found(flights, tmp_path):
    frame = vs.open(flights)
    parts = vs.split(frame, {"train": 0.7, "test": 0.3}, by="time", key="time_hour")
    assert not [one for one in vs.report(frame, tmp_path / "a.html", splits=parts, progress=False).findings
                if one.title == "Times in two parts"]  # fmt: skip
    parts["test"] = frame[frame.day > 15]
    found = vs.report(frame, tmp_path / "b.html", splits=parts, progress=False).findings
    assert [one.column for one in found if one.title == "Times in two parts"] == ["time_hour"]


@pytest.mark.parametrize("kind", ["number", "classes"])
def test_leaks_into_other_targets(kind, tmp_path):
    rng = np.random.default_rng(0)
    y = rng.normal(size=4000) if kind == "number" else rng.integers(0, 5, 4000)
    frame = vaex.from_arrays(y=y, copy=y * 3.0 + 1, noise=rng.normal(size=4000), hint=y + rng.normal(size=4000) * 2)
    steps = {"classes": True} if kind == "classes" else {}
    features = vs.FeatureSet.from_dict(
        {
            "version": 1,
            "inputs": {"x": {"dtype": "float32", "features": [{"columns": ["copy", "noise", "hint"]}]}},
            "targets": {"y": {"column": "y", **steps}},
        }
    )
    fitted = features.fit(frame, progress=False)
    found = vs.report(frame, tmp_path / "r.html", fitted, progress=False).findings
    assert [one.column for one in found if one.title == "Likely leak"] == ["x__copy"]


def test_drift_says_nothing_of_small_random_parts():
    rng = np.random.default_rng(0)
    for _ in range(20):
        one, other = (
            vs.explore(vaex.from_arrays(x=rng.normal(size=60), c=rng.choice(list("abcdef"), 60)), progress=False)
            for _ in range(2)
        )
        for name in ("x", "c"):
            assert drift(one[name], other[name], "test", "train").level != "clear"


def test_figures_of_drift_are_the_textbooks():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=30_000), rng.normal(0.5, 1, 20_000)
    one, other = (vs.explore(vaex.from_arrays(x=data), progress=False)["x"] for data in (x, y))
    found = drift(one, other, "test", "train")
    every = np.sort(np.concatenate([x, y]))
    ks = np.abs(
        np.searchsorted(np.sort(x), every, "right") / 30_000 - np.searchsorted(np.sort(y), every, "right") / 20_000
    )
    edges = np.quantile(x, np.linspace(0, 1, 11))
    edges[0], edges[-1] = -np.inf, np.inf
    p, q = np.histogram(x, edges)[0] / 30_000, np.histogram(y, edges)[0] / 20_000
    assert found.ks == pytest.approx(ks.max(), abs=0.005)
    assert found.psi == pytest.approx(((q - p) * np.log(q / p)).sum(), rel=0.05)
    assert found.level == "some" if found.psi < 0.25 else "clear"


def test_odd_data_makes_a_page(tmp_path):
    frame = vaex.from_arrays(
        **{
            "</script><b>": np.array([1.0, np.nan, np.inf]),
            "nothing": np.full(3, np.nan),
            "s": np.array(["<i>", "&", "\u2028"], dtype=object),
        }
    )
    done = vs.report(frame, tmp_path / "odd.html", title="<odd>", progress=False)
    text = done.path.read_text()
    assert "<odd>" not in text
    assert "<b>" not in text.replace('<li class="bad"><b>', "").replace('<li class="good"><b>', "").replace("<b>No", "")
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    with pytest.raises(OptionError, match="splits: got no part"):
        vs.report(frame, tmp_path / "x.html", splits={}, progress=False)
    with pytest.raises(OptionError, match="splits: got list, expected names with frames"):
        vs.report(frame, tmp_path / "x.html", splits=[frame], progress=False)
    with pytest.raises(OptionError, match="profile: got int, expected what vaxseq.profile returns"):
        vs.report(frame, tmp_path / "x.html", profile=3, progress=False)
    with pytest.raises(OptionError, match="features: got dict, expected fitted features"):
        vs.report(frame, tmp_path / "x.html", {}, progress=False)


def test_without_a_profile_it_says_why(flights, tmp_path, capsys):
    fitted = vs.FeatureSet.from_dict({"inputs": {"x": {"features": [{"column": "dep_delay"}]}}})
    fitted.fit(vs.open(flights), where="dep_delay > -1000", progress=False).save(tmp_path / "fitted.json")
    page = tmp_path / "page.html"
    with pytest.raises(SystemExit) as ended:
        main(["report", str(flights), str(tmp_path / "fitted.json"), "-o", str(page), "--seconds", "0.1"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert "Without a profile: input 'x', 'dep_delay': missing in" in out
    assert f"Written to {page}" in out
    assert 'id="profile"' not in page.read_text()


def test_a_target_of_numbers_has_its_spread_in_each_part(samples, tmp_path):
    vs.convert(samples / "la_haute_borne_2014_01_02.csv.gz", tmp_path / "t.arrow", progress=False)
    frame = vs.open(tmp_path / "t.arrow")
    parts = vs.split(frame, {"train": 0.75, "test": 0.25}, by="time", key="Date_time")
    fitted = vs.FeatureSet.load(samples / "turbines.features.yaml").fit(parts["train"], progress=False)
    vs.report(frame, tmp_path / "page.html", fitted, parts, progress=False)
    text = (tmp_path / "page.html").read_text()
    shown = text[text.index('<section id="targets"') : text.index('<section id="missing"')]
    assert "<h3>target__power</h3>" in shown
    assert '<th scope="col" class="n">test</th>' in shown
    rows = shown.split("<tr>")
    assert ["median" in row for row in rows].count(True) == 1
    numbers = next(row.split('<td class="n">')[1:] for row in rows if row.startswith("<td>mean</td>"))
    assert float(numbers[0].split("<")[0]) == pytest.approx(0, abs=1e-6)  # standardized on train
    assert abs(float(numbers[1].split("<")[0])) > 0.01


def test_the_batch_is_from_all_over(flights, samples, tmp_path):
    frame = vs.open(flights)
    fitted = definition(samples).fit(frame, progress=False)
    assert fitted.preview(frame, rows=256).data["input.numeric.day"]["warnings"] == ["constant"]
    spread = preview(fitted, frame, rows=256, where=None, places=16)
    assert spread.data["input.numeric.day"]["warnings"] == []
    assert spread.title == "256 rows from all over"
    vs.report(frame, tmp_path / "page.html", fitted, progress=False)
    text = (tmp_path / "page.html").read_text()
    assert "256 rows from all over" in text
    assert "constant</td>" not in text
    rare = frame[frame.distance == 4983]  # some places of the frame have none
    assert preview(fitted, rare, rows=32, where=None, places=16).data["input.numeric.distance"]["missing"] == 0
    one = frame[(frame.flight == frame.flight.values[3]) & (frame.day == 1)]
    assert preview(fitted, one, rows=32, where=None, places=3).title.endswith("rows from all over")


@pytest.mark.slow
def test_the_verbs(flights, samples, tmp_path, capsys):
    fitted = definition(samples).fit(vs.open(flights), progress=False)
    fitted.save(tmp_path / "fitted.json")
    page = tmp_path / "page.html"
    with pytest.raises(SystemExit) as ended:
        main(["report", str(flights), str(tmp_path / "fitted.json"), "-o", str(page), "--json"])
    assert ended.value.code == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["path"], told["findings"]) == (str(page), [])
    assert told["profile"]["batch_rows"] == 1024
    assert 'id="profile"' in page.read_text()
    assert page.stat().st_size < 500_000
    with pytest.raises(SystemExit):
        main(["report", str(flights), str(tmp_path / "fitted.json"), "-o", str(page), "--seconds", "0"])
    assert 'id="profile"' not in page.read_text()
    with pytest.raises(SystemExit) as ended:
        main(["report", str(flights), "-o", str(page), "--split", f"a={flights}", "--split", f"b={flights}"])
    assert "Nothing stands out." in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["report", str(flights), "--split", "train"])
    assert ended.value.code == 2
    assert "--split: got 'train'" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["explore", str(flights), "--json", "--columns", "carrier"])
    found = json.loads(capsys.readouterr().out)
    assert found["columns"][0]["top"][0] == ["UA", 4637]
    assert share(0.25) == "25 %"
