"""Every command and snippet of the README, run in order in a folder that holds the samples."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

import vaxseq as vs
from vaxseq.cli import main

pytestmark = pytest.mark.usefixtures("quick_compiler")
ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    lines = [line.split(" #")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    return [line for line in lines if line]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "data_samples").symlink_to(ROOT / "data_samples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_shows_something_in_every_language() -> None:
    assert all(blocks(language) for language in ("sh", "python", "yaml", "text"))


def test_make_targets_exist() -> None:
    """CI runs `make demo` and `make test` themselves, from a clean checkout."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = [line.split()[1] for line in commands() if line.startswith("make ")]
    assert named
    assert all(re.search(rf"^{target}:", makefile, flags=re.MULTILINE) for target in named)


@pytest.mark.slow
def test_commands(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for line in commands():
        program, *arguments = shlex.split(line)
        if program == "make":
            continue
        assert program == "vaxseq", f"no test runs {line!r}"
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 0, f"{line}\n{capsys.readouterr().err}"


@pytest.mark.slow
@pytest.mark.backend
def test_python(folder: Path) -> None:
    names: dict[str, Any] = {"__name__": "readme"}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    assert names["history"].history["val_loss"][-1] < 0.2  # of a standardized target: R² over 0.8


def test_definitions_fit_the_flights(folder: Path) -> None:
    vs.convert("data_samples/nycflights_2013_01.csv.gz", "flights.arrow", progress=False)
    for block in blocks("yaml"):
        (folder / "readme.yaml").write_text(block, encoding="utf-8")
        fitted = vs.FeatureSet.load("readme.yaml").fit(vs.open("flights.arrow"), progress=False)
        assert fitted.feature_set.to_dict()["version"] == 1


def test_it_is_one_screen_and_one_walk() -> None:
    assert len(TEXT.splitlines()) <= 260


def test_contributing_is_short_and_names_what_is_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 120
    [picture] = re.findall(r"^```text\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    rooms = {f"{path.name}/" for path in (ROOT / "vaxseq").iterdir() if (path / "__init__.py").exists()}
    assert rooms <= set(picture.split())
    named = re.findall(r"`([a-z_]+/[a-z_/]*[a-z_]\.py)`", text)  # NAME.py stands for what is to come
    assert len(named) > 10
    assert not [name for name in named if not any((base / name).exists() for base in (ROOT, ROOT / "vaxseq"))]


def test_links_lead_somewhere() -> None:
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", TEXT) if "://" not in target]
    assert targets
    assert all((ROOT / target).exists() for target in targets)


def test_lines_of_text_fit() -> None:
    outside = re.sub(r"^```.*?^```$", "", TEXT, flags=re.MULTILINE | re.DOTALL)
    assert max(len(line) for line in outside.splitlines() if not line.startswith("|")) <= 125
