"""What is shipped: honest bounds, the samples inside the wheel, the console script, a Makefile that explains itself."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import vaxseq
from vaxseq.demo.samples import samples_folder

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = {
    "jax", "torch", "tensorflow", "sql", "duckdb", "excel", "avro", "matlab", "s3", "http", "sklearn", "mlflow", "onnx",
    "dask", "images", "notebook", "dev",
}  # fmt: skip
REQUIREMENTS = [
    *PROJECT["dependencies"],
    *(one for group in PROJECT["optional-dependencies"].values() for one in group),
]


def test_extras() -> None:
    assert set(PROJECT["optional-dependencies"]) == EXTRAS


@pytest.mark.parametrize("text", PROJECT["dependencies"])
def test_core_dependencies_are_bounded_on_both_sides(text: str) -> None:
    operators = {one.operator for one in Requirement(text).specifier}
    assert ">=" in operators
    assert "<" in operators


@pytest.mark.parametrize("text", REQUIREMENTS)
def test_what_is_installed_here_is_within_the_bounds(text: str) -> None:
    requirement = Requirement(text)
    try:
        installed = version(requirement.name)
    except PackageNotFoundError:
        pytest.skip(f"{requirement.name} isn't installed")
    assert requirement.specifier.contains(installed.split("+")[0]), installed


def test_the_changelog_names_the_version_or_what_is_unreleased() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## [Unreleased]" in text or f"## [{vaxseq.__version__}]" in text


@pytest.mark.slow
def test_the_wheel_holds_the_package_the_samples_and_the_script(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "installed")
    samples = {f"vaxseq/data_samples/{path.name}" for path in samples_folder().iterdir() if path.is_file()}
    assert len(samples) >= 7
    sources = {str(path.relative_to(ROOT)) for kind in ("py", "md") for path in (ROOT / "vaxseq").rglob(f"*.{kind}")}
    assert samples | sources | {"vaxseq/py.typed"} <= names
    assert not [name for name in names if name.startswith(("tests/", "data_samples/"))]
    script = next(name for name in names if name.endswith("entry_points.txt"))
    assert "vaxseq = vaxseq.cli:main" in (tmp_path / "installed" / script).read_text(encoding="utf-8")

    code = "from vaxseq.demo.samples import samples_folder; print(samples_folder())"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "installed", check=True, capture_output=True, text=True
    )
    assert Path(found.stdout.strip()) == (tmp_path / "installed" / "vaxseq" / "data_samples").resolve()


def test_make_explains_itself() -> None:
    shown = subprocess.run(
        ["make", "-C", str(ROOT), "--no-print-directory"], check=True, capture_output=True, text=True
    )
    assert {"help", "demo", "test", "lint", "types", "backends"} <= {
        line.split()[0] for line in shown.stdout.splitlines() if line.startswith("  ")
    }
