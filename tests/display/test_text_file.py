"""What vaxseq writes for the user replaces an earlier one of its kind, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import vaxseq as vs
from vaxseq.cli import main
from vaxseq.display.text_file import write_text
from vaxseq.errors import SourceError

DEFINITION = {"inputs": {"x": {"features": [{"column": "v", "steps": ["standardize"]}]}}}
VERBS = {
    "fit": ["fit", "features.yaml", "d.arrow", "-o"],
    "draft": ["draft", "d.arrow", "--overwrite", "-o"],
    "schema": ["schema", "-o"],
    "diff": ["diff", "fitted.json", "fitted.json", "-o"],
    "report": ["report", "d.arrow", "--seconds", "0", "-o"],
    "export": ["export", "model.keras", "--features", "fitted.json", "--to", "openapi", "--overwrite", "-o"],
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    vs.convert(pd.DataFrame({"v": [1.0, 2.0, 4.0, 9.0]}), "d.arrow", progress=False)
    features = vs.FeatureSet.from_dict(DEFINITION)
    features.save("features.yaml")
    features.fit(vs.open("d.arrow"), progress=False).save("fitted.json")
    (tmp_path / "folder").mkdir()
    return tmp_path


@pytest.mark.parametrize("verb", [pytest.param(verb, marks=[pytest.mark.slow] * (verb == "report")) for verb in VERBS])
def test_the_data_and_folders_are_never_replaced(verb: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = (here / "d.arrow").read_bytes()
    for target in ("d.arrow", "folder"):
        with pytest.raises(SystemExit) as ended:
            main([*VERBS[verb], target, "--quiet"])
        assert ended.value.code == 2
        assert f"{target}: not replaced: it is" in capsys.readouterr().err
    assert (here / "d.arrow").read_bytes() == data
    assert not list((here / "folder").iterdir())
    for _ in range(2):  # an earlier one of its kind is
        with pytest.raises(SystemExit) as ended:
            main([*VERBS[verb], "made", "--quiet"])
        assert ended.value.code == 0
    assert (here / "made").stat().st_size > 20


def test_a_state_is_not_put_in_the_place_of_its_definition(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["fit", "features.yaml", "d.arrow", "-o", "features.yaml"])
    assert "features.yaml: not replaced: it isn't a state file" in capsys.readouterr().err
    assert vs.FeatureSet.load("features.yaml").inputs


def test_text_may_be_cut_inside_a_character_and_files_may_be_empty(tmp_path: Path) -> None:
    place = tmp_path / "t"
    place.write_bytes(b"")
    write_text(place, "x" * 4095 + "é", what="a definition file", mark=None)
    write_text(place, "again", what="a definition file", mark=None)
    assert place.read_text() == "again"
    place.write_bytes(b"x" * 100 + b"\0")
    with pytest.raises(SourceError, match="t: not replaced: it isn't a definition file"):
        write_text(place, "more", what="a definition file", mark=None)
    assert [one.name for one in tmp_path.iterdir()] == ["t"]
