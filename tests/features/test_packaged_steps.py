"""Steps of users' packages: found by entry point, only when named, and held to the public contract."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from prepared import PreparedPython

import vaxseq as vs
from vaxseq.errors import DefinitionError, StateError
from vaxseq.features.definition import packages
from vaxseq.features.transforms import STEPS, parse_step
from vaxseq.reference import page
from vaxseq.steps import Step
from vaxseq.testing import StepContract

HERE = Path(__file__).parent / "packaged"


def install(folder: Path, name: str, version: str, entry_points: str) -> None:
    """The metadata that an installer leaves."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[vaxseq.steps]\n{entry_points}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed vaxseq-winsor, forgotten afterwards."""
    before = dict(STEPS)
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.syspath_prepend(str(tmp_path))
    install(tmp_path, "vaxseq-winsor", "0.3.1", "winsorize = vaxseq_winsor:Winsorize")
    yield tmp_path
    STEPS.clear()
    STEPS.update(before)
    packages._OF.clear()
    for module in ("vaxseq_winsor", "broken_steps"):
        sys.modules.pop(module, None)


def definition(**changes: Any) -> dict[str, Any]:
    return {
        "packages": {"vaxseq-winsor": "0.3"},
        "inputs": {"x": {"features": [{"column": "a", "steps": [{"winsorize": {"share": 0.1}}, "standardize"]}]}},
        **changes,
    }


def make_data(rows: int = 1000) -> pd.DataFrame:
    return pd.DataFrame({"a": np.random.default_rng(0).standard_t(2, rows)})


def test_a_packaged_step_fits_trains_serves_and_reloads(site: Path) -> None:
    data = make_data()
    fs = vs.FeatureSet.from_dict(definition())
    fitted = fs.fit(data, progress=False)
    low, high = np.quantile(data["a"], [0.1, 0.9])
    assert fitted.state.learned["x.a"][0] == {"lower": pytest.approx(low), "upper": pytest.approx(high)}
    fitted.save(site / "fitted.json")
    again = vs.FittedFeatures.load(site / "fitted.json")
    served = again.transform_records({"a": [0.0, 1e9]})["x"]
    batch = np.asarray(vs.Sequence(data, fitted, batch_size=1000).batch(0, 0)[0])
    assert served[1, 0] == batch.max()
    layer = again.to_keras()
    np.testing.assert_allclose(np.asarray(layer(again.encode_records(data))), batch, atol=1e-5, rtol=1e-5)
    assert fs.to_dict()["packages"] == {"vaxseq-winsor": "0.3"}


def test_nothing_is_imported_that_is_not_named(site: Path) -> None:
    with pytest.raises(DefinitionError, match="unknown step 'winsorize'"):
        vs.FeatureSet.from_dict(definition(packages={}))
    assert "vaxseq_winsor" not in sys.modules
    plain = {"inputs": {"x": {"features": [{"column": "a"}]}}}
    vs.FeatureSet.from_dict(plain)
    assert "vaxseq_winsor" not in sys.modules


def test_a_step_that_another_definition_imported_must_be_named_too(site: Path) -> None:
    vs.FeatureSet.from_dict(definition())
    with pytest.raises(DefinitionError, match="comes from the package vaxseq-winsor, .* Add packages: {vaxseq-winsor"):
        vs.FeatureSet.from_dict(definition(packages={}))


def test_a_step_of_no_package_is_refused(site: Path) -> None:
    class Halve(Step):
        name = "halve"

        def compile(self, learned: Any) -> Any:
            return lambda value: value

    assert Halve.name in STEPS
    with pytest.raises(DefinitionError, match="'halve' comes from no installed package"):
        vs.FeatureSet.from_dict({"inputs": {"x": {"features": [{"column": "a", "steps": ["halve"]}]}}})


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("0.4", r"version 0.3.1 is installed, expected 0.4"),
        ("1", "version 0.3.1 is installed, expected 1"),
        ("<0.3", "version 0.3.1 is installed, expected <0.3"),
        ("newest", "got 'newest', expected a version, as 1.2"),
    ],
)
def test_another_version_is_refused(site: Path, version: str, said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        vs.FeatureSet.from_dict(definition(packages={"vaxseq-winsor": version}))
    assert "vaxseq_winsor" not in sys.modules


@pytest.mark.parametrize("version", ["0.3", "0.3.1", ">=0.2,<1", "0"])
def test_a_compatible_version_is_taken(site: Path, version: str) -> None:
    vs.FeatureSet.from_dict(definition(packages={"vaxseq_winsor": version}))


def test_a_package_that_is_not_there_says_how_to_get_it(site: Path) -> None:
    with pytest.raises(DefinitionError, match=r"packages.vaxseq-other: the package isn't installed. Run: pip install"):
        vs.FeatureSet.from_dict(definition(packages={"vaxseq-other": "1.0"}))
    with pytest.raises(DefinitionError, match="the package has no steps"):
        vs.FeatureSet.from_dict(definition(packages={"numpy": ">=1"}))


BROKEN = """
from vaxseq.steps import Step
class Own(Step):
    name = "standardize"
    def compile(self, learned):
        return lambda value: value
class Other(Step):
    name = "other"
    def compile(self, learned):
        return lambda value: value
"""


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ("standardize = broken_steps:Own", "has the name of a step that is there"),
        ("other = broken_steps:Other", "defines a step 'standardize' over one that is there"),
        ("another = broken_steps:Other", "its entry point 'another' is named 'other'"),
        ("nothing = broken_steps:BROKEN", "can't be imported; AttributeError"),
        ("raising = broken_steps.absent:Step", "can't be imported; ModuleNotFoundError"),
    ],
)
def test_a_package_cannot_replace_a_step(site: Path, points: str, said: str) -> None:
    (site / "broken_steps.py").write_text(BROKEN)
    install(site, "broken-steps", "1.0", points)
    kept = dict(STEPS)
    with pytest.raises(DefinitionError, match=said):
        vs.FeatureSet.from_dict(definition(packages={"broken-steps": "1.0"}))
    assert kept == STEPS


def test_a_state_of_a_package_that_is_gone_says_so(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = vs.FeatureSet.from_dict(definition()).fit(make_data(), progress=False).to_json()
    for info in site.glob("*.dist-info/*"):
        info.unlink()
    (site / "vaxseq_winsor-0.3.1.dist-info").rmdir()
    with pytest.raises(StateError, match="vaxseq-winsor: the package isn't installed"):
        vs.FittedFeatures.from_json(text)


class TestContract(StepContract):
    """The public contract, kept by a step of a package ..."""

    @pytest.fixture(autouse=True)
    def _installed(self, site: Path) -> None:
        vs.FeatureSet.from_dict(definition())

    def step(self) -> Step:
        step = parse_step({"winsorize": {"share": 0.1}}, "here")
        assert isinstance(step, Step)
        return step

    def column(self) -> np.ndarray:
        values = np.random.default_rng(0).normal(size=500)
        values[::17] = np.nan
        return values

    def expected(self) -> np.ndarray:
        return np.clip(self.column(), *np.nanquantile(self.column(), [0.1, 0.9]))


OURS = ["standardize", "one_hot", "vocabulary", {"clip": {"quantiles": [0.1, 0.9]}}, {"impute": "median"}, "min_max"]


@pytest.mark.parametrize("raw", OURS, ids=str)
@pytest.mark.parametrize("test", [name for name in dir(StepContract) if name.startswith("test_")])
def test_our_own_steps_keep_it(raw: Any, test: str) -> None:
    """... and by ours."""

    class Ours(TestContract):
        def step(self) -> Step:
            return parse_step(raw, "here")

        def column(self) -> np.ndarray:
            values = super().column().round(1)
            if raw in ("one_hot", "vocabulary"):
                missing = np.isnan(values)
                return np.ma.array(np.where(missing, 0, 10 * values).astype(np.int64), mask=missing)
            return values

        def expected(self) -> Any:
            return None

    getattr(Ours(), test)()


class Careless(StepContract):
    """A step that breaks the contract in several ways."""

    def step(self) -> Step:
        class Bad(Step):
            name = "bad"
            docs = "bad"

            def compile(self, learned: Any) -> Any:
                from vaxseq.steps import Value

                return lambda value: Value(np.nan_to_num(value.data) - np.nanmean(value.data))

        return Bad()

    def column(self) -> np.ndarray:
        return np.array([1.0, 2.0, np.nan, 5.0] * 50)


@pytest.mark.parametrize("test", ["test_it_works_row_by_row", "test_missing_values_are_as_it_says"])
def test_a_careless_step_is_told(site: Path, test: str) -> None:
    contract = Careless()
    with pytest.raises(AssertionError):
        getattr(contract, test)()


@pytest.mark.slow
def test_importing_vaxseq_imports_no_package(site: Path) -> None:
    code = f"import sys; sys.path[:0] = [{str(site)!r}, {str(HERE)!r}]; import vaxseq, vaxseq.features; "
    code += "assert 'vaxseq_winsor' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_the_package_of_the_reference_keeps_the_contract(tmp_path: Path, keras_python: PreparedPython) -> None:
    package, contract = re.findall(r"^```python package\n(.*?)^```$", page("extending"), flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "my_package.py").write_text(package)
    (tmp_path / "test_my_package.py").write_text(contract)
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "test_my_package.py"]
    done = keras_python.run(command, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "9 passed" in done.stdout
