"""The verbs check, fit, preview and schema: what they print, their exit codes, their errors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from vaxseq.cli import main
from vaxseq.features import FittedFeatures, json_schema

FEATURES = """\
inputs:
  x:
    features:
      - {column: a, steps: [standardize]}
      - {column: word, steps: [{one_hot: {max_size: 4}}]}
targets:
  y: {expr: a > 0}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a definition and a dataset, to stand in."""
    rng = np.random.default_rng(0)
    table = pa.table({"a": rng.normal(size=100), "month": np.arange(100) % 12, "word": rng.choice(["p", "q"], 100)})
    with pa.OSFile(str(tmp_path / "d.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    (tmp_path / "features.yaml").write_text(FEATURES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    out, err = capsys.readouterr()
    return int(end.value.code or 0), out, err


def test_check_says_yes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "check", "features.yaml", "d.arrow") == (0, "ok: features.yaml fits d.arrow\n", "")
    assert run(capsys, "check", "features.yaml")[:2] == (0, "ok: features.yaml is right\n")
    code, out, _ = run(capsys, "check", "features.yaml", "d.arrow", "--json")
    assert (code, json.loads(out)) == (0, {"ok": True, "problems": []})


def test_check_says_no_with_every_problem(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "features.yaml").write_text(
        FEATURES.replace("column: a,", "column: aa,").replace("one_hot: {max_size: 4}", "standardize")
    )
    code, out, err = run(capsys, "check", "features.yaml", "d.arrow")
    assert (code, out) == (2, "")
    assert "features.yaml:4 inputs.x.features[0]: column 'aa' isn't in the data." in err
    assert "features.yaml:5 inputs.x.features[1]: word: step 'standardize': can't take this column; got text" in err
    assert "Traceback" not in err
    code, out, _ = run(capsys, "check", "features.yaml", "d.arrow", "--json")
    assert code == 2 and len(json.loads(out)["problems"]) == 2
    code, _, err = run(capsys, "check", "features.yml")
    assert code == 2 and "no such definition file. Did you mean 'features.yaml'?" in err
    code, _, err = run(capsys, "check", "features.yaml", "e.arrow")
    assert code == 2 and "e.arrow" in err


def test_fit_then_preview(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "fit", "features.yaml", "d.arrow", "-o", "fitted.json", "--where", "month <= 9")
    assert (code, err) == (0, "")
    assert "where month <= 9, in 1 scan" in out and "written: fitted.json" in out and "one_hot" in out
    fitted = FittedFeatures.load(folder / "fitted.json")
    assert fitted.state.rows == 84 and fitted.state.where == "month <= 9"
    code, out, err = run(capsys, "preview", "fitted.json", "d.arrow", "--rows", "10")
    assert (code, err) == (0, "") and "First 10 rows" in out and "float32 (10, 5)" in out
    code, out, _ = run(capsys, "preview", "fitted.json", "d.arrow", "--where", "month == 3", "--json")
    assert code == 0 and json.loads(out)["target.y.y"]["missing"] == 0
    code, _, err = run(capsys, "preview", "fitted.json", "d.arrow", "--where", "month == 30")
    assert code == 2 and "no rows" in err
    code, _, err = run(capsys, "preview", "fitted.json", "d.arrow", "--where", "month + 1")
    assert code == 2 and "a selection is one truth value a row" in err


def test_fit_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "fit", "features.yaml", "d.arrow", "--json", "--quiet")
    found = json.loads(out)
    assert code == 0 and found["x.a"]["steps"] == ["standardize"] and found["x.word"]["width"] == 4
    assert (folder / "fitted.json").exists()


def test_fit_without_rows(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "fit", "features.yaml", "d.arrow", "--where", "month > 30")
    assert code == 2 and "no training rows" in err
    code, _, err = run(capsys, "fit", "features.yaml", "d.arrow", "--where", "__import__('os')")
    assert code == 2 and "where: " in err
    assert not (folder / "fitted.json").exists()


def test_schema(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "schema")
    assert code == 0 and json.loads(out) == json_schema()
    code, out, _ = run(capsys, "schema", "-o", "s.json")
    assert code == 0 and out == "written: s.json\n" and json.loads((folder / "s.json").read_text()) == json_schema()


@pytest.mark.filterwarnings("default")
def test_series_in_disorder_and_doubled_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    definition = tmp_path / "f.yaml"
    definition.write_text(
        "series: {group_by: device, order_by: t}\n"
        "inputs: {x: {features: [{column: x, steps: [lag, {impute: {strategy: mean}}]}]}}\n"
    )
    (tmp_path / "mixed.csv").write_text("device,t,x\na,1,1.5\nb,1,2.5\na,2,3.5\n")
    (tmp_path / "twice.csv").write_text("device,t,x\na,1,1.5\na,1,2.5\na,2,3.5\n")
    for name in ("mixed", "twice"):
        assert run(capsys, "convert", str(tmp_path / f"{name}.csv"), str(tmp_path / f"{name}.arrow"))[0] == 0
    arguments = [str(tmp_path / "mixed.arrow"), "-o", str(tmp_path / "fitted.json")]
    code, _, errors = run(capsys, "fit", str(definition), *arguments)
    assert code == 2 and "group a comes back in row 2" in errors and "vaxseq convert --sort-by device,t" in errors
    arguments[0] = str(tmp_path / "twice.arrow")
    code, _, errors = run(capsys, "fit", str(definition), *arguments)
    assert code == 0 and "warning: series: 1 row has the same 't' as the row before" in errors
    assert "UserWarning" not in errors
