"""Every command and snippet of the README, run in order in a folder that holds the samples."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vaxseq as vs
from vaxseq.convert.mapping import types_table
from vaxseq.expressions.functions import table as expressions_table
from vaxseq.features.transforms.table import steps_table

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
def test_commands(folder: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for line in commands():
        if line.startswith("make "):
            continue
        assert line.startswith("vaxseq "), f"no test runs {line!r}"
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


@pytest.mark.slow
@pytest.mark.backend
def test_python(folder: Path) -> None:
    names: dict[str, Any] = {"__name__": "readme"}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    assert names["history"].history["val_loss"][-1] < 0.2  # of a standardized target: R² over 0.8
    assert names["served_kw"][0] == pytest.approx(names["power_kw"][0], rel=1e-4)
    left = [row for one in names["two"] for i in range(len(one)) for row in one.row_ids(i)]
    assert len(left) == len(set(left)) == names["two"][0].num_rows - 4 * 5 * 256
    for changed in (names["images"], names["pictures"]):
        assert np.asarray(changed.batch(0, 0)[0]).shape == (1024, 8, 8)
    assert 700 < names["power_kw"][0] < 1150  # 90 % of the rows with this wind give 844 to 1001 kW


def test_definitions_fit_the_flights(folder: Path) -> None:
    vs.convert("data_samples/nycflights_2013_01.csv.gz", "flights.arrow", progress=False)
    for block in blocks("yaml"):
        (folder / "readme.yaml").write_text(block, encoding="utf-8")
        fitted = vs.FeatureSet.load("readme.yaml").fit(vs.open("flights.arrow"), progress=False)
        assert fitted.feature_set.to_dict()["version"] == 1


@pytest.mark.parametrize("name", ["steps", "expressions", "types"])
def test_tables_are_the_code_s_own(name: str) -> None:
    """UPDATE_README=1 writes them anew."""
    table = {"steps": steps_table, "expressions": expressions_table, "types": types_table}[name]()
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    begin, end = f"<!-- table: {name} -->\n", "<!-- end -->"
    before, _, rest = text.partition(begin)
    fresh = f"{before}{begin}\n{table.strip()}\n\n{end}{rest.partition(end)[2]}"
    if os.environ.get("UPDATE_README") == "1":
        (ROOT / "README.md").write_text(fresh, encoding="utf-8")
    else:
        assert fresh == text, "the README's table is out of date: run this test with UPDATE_README=1"


def test_links_lead_somewhere() -> None:
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", TEXT) if "://" not in target]
    assert targets
    assert all((ROOT / target).exists() for target in targets)


def test_lines_of_text_fit() -> None:
    outside = re.sub(r"^```.*?^```$", "", TEXT, flags=re.MULTILINE | re.DOTALL)
    assert max(len(line) for line in outside.splitlines() if not line.startswith("|")) <= 125
