"""What shows itself in a notebook does so calmly: the page's own colours, nothing loaded, and one display, not two."""

from __future__ import annotations

import re

import numpy as np
import pytest
import vaex

import vaxseq as vs


@pytest.fixture(scope="module")
def shown(tmp_path_factory, samples):
    folder = tmp_path_factory.mktemp("display")
    manifest = vs.convert(samples / "la_haute_borne_2014_01_02.csv.gz", folder / "turbines.arrow", progress=False)
    frame = vs.open(folder / "turbines.arrow")
    features = vs.FeatureSet.load(samples / "turbines.features.yaml")
    fitted = features.fit(frame, progress=False)
    sequence = vs.Sequence(frame, fitted, on_missing="drop")
    return {
        "Manifest": manifest,
        "FeatureSet": features,
        "FittedFeatures": fitted,
        "summary": fitted.summary(),
        "preview": fitted.preview(frame),
        "Parts": vs.split(frame, {"train": 0.5, "test": 0.5}, by="time", key="Date_time", gap="12h"),
        "Sequence": sequence,
        "Exploration": vs.explore(frame, progress=False),
        "Profile": vs.profile(sequence, seconds=0.2),
    }


NAMES = [
    "Manifest",
    "FeatureSet",
    "FittedFeatures",
    "summary",
    "preview",
    "Parts",
    "Sequence",
    "Exploration",
    "Profile",
]


@pytest.mark.parametrize("name", NAMES)
def test_it_is_calm(shown, name):
    html = shown[name]._repr_html_()
    assert html.startswith('<div class="vaxseq">')
    assert '<table aria-label="' in html
    assert not re.search(r"<script|<link|<img|https?:|url\(|@import", html)
    style = re.search("<style>(.*?)</style>", html, re.DOTALL)[1]
    assert not re.search(r"#[0-9a-f]{3}|(?<![-\w])(?:color|background):(?!inherit|transparent|rgba\(128)", style)


@pytest.mark.parametrize("name", NAMES)
def test_its_text_does_not_print(shown, name, capsys, monkeypatch):
    import rich.console

    monkeypatch.setattr(rich.console, "_is_jupyter", lambda: True)  # or a notebook would show it twice
    assert len(repr(shown[name])) > 20
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("width", [60, 130])
@pytest.mark.parametrize("name", NAMES)
def test_it_is_rich_and_fits_a_terminal(shown, name, width):
    import io

    from rich.console import Console

    file = io.StringIO()
    Console(file=file, width=width, force_terminal=True, color_system="standard", no_color=False).print(shown[name])
    text = file.getvalue()
    assert "\x1b[" in text  # bold or dim, at least
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) > 3


def test_a_manifest_reads_well(shown, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = repr(shown["Manifest"]).splitlines()
    assert lines[0] == "33,984 rows, 9 columns, 1 arrow file"
    assert lines[1].split() == ["column", "type", "unit", "description"]
    assert len(lines) == 3 + 9


def test_parts_tell_their_rows(shown):
    assert "rows dropped in the gap" in shown["Parts"]._repr_html_()
    by_hash = vs.split(vaex.from_arrays(x=np.arange(9)), {"a": 0.5, "b": 0.5}, by="hash", key="x")
    assert "aren't counted" in by_hash._repr_html_().replace("&#x27;", "'")
