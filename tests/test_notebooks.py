"""Every notebook runs as opened, from a clean kernel, and is committed with outputs that are whole and light."""

from __future__ import annotations

import os
import re
from pathlib import Path

import nbformat
import pytest
from prepared import PreparedProcess, PreparedPython

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SHORTER = {  # what is long for steady figures alone, and no cell stands on
    "3": {"epochs=6": "epochs=2", "range(1, 7)": "range(1, 3)", "epochs=4": "epochs=2", "Kill(200)": "Kill(130)"},
    "4": {"seconds=6": "seconds=0.5", "epochs=4": "epochs=2"},
    "6": {
        "epochs=4": "epochs=1", "epochs=6": "epochs=2", "n_repeats=2": "n_repeats=1",
        "folds(flights, 3": "folds(flights, 2",
    },
}  # fmt: skip

FASTER = """
import sys

import jax

jax.config.update("jax_disable_most_optimizations", True)
sys.modules["tensorflow"] = None  # keras.utils.set_random_seed would import it
"""


def outputs(notebook) -> list:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def test_they_are_there():
    assert [path.name[0] for path in NOTEBOOKS] == ["1", "2", "3", "4", "5", "6", "7"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_committed_outputs(path):
    assert path.stat().st_size < 1_000_000
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not [long for long in SHORTER.get(path.stem[0], {}) if not any(long in cell.source for cell in code)]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    kinds = {output.output_type for output in outputs(notebook)}
    assert "error" not in kinds
    assert not [output for output in outputs(notebook) if output.get("name") == "stderr"]
    assert any("image/png" in output.get("data", {}) for output in outputs(notebook))


@pytest.fixture
def forked_kernels(keras_python: PreparedPython, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel is a fork that needn't import Keras anew."""

    def launch(command: list[str], **options) -> PreparedProcess:
        _, *rest = [one for one in command if not one.startswith("-X")]
        return keras_python.popen(rest, env=options["env"], cwd=options["cwd"], stdout=None, start_new_session=True)

    monkeypatch.setattr("jupyter_client.provisioning.local_provisioner.launch_kernel", launch)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path, forked_kernels, tmp_path, monkeypatch):
    from nbclient import NotebookClient

    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR", "TMPDIR"):
        folder = tmp_path / name.lower()
        folder.mkdir()
        monkeypatch.setenv(name, str(folder))
    if os.environ["KERAS_BACKEND"] == "jax":
        startup = tmp_path / "ipythondir" / "profile_default" / "startup"
        startup.mkdir(parents=True)
        (startup / "faster.py").write_text(FASTER)
    notebook = nbformat.read(path, 4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            for long, short in SHORTER.get(path.stem[0], {}).items():
                cell.source = cell.source.replace(long, short)
    client = NotebookClient(notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}})
    client.execute()
    assert any("image/png" in output.get("data", {}) for output in outputs(notebook))
    if path.stem.startswith("3"):
        assert outputs(notebook)[-1].data["text/plain"] == "True"
    if path.stem.startswith("2"):
        said = "".join(output.get("text", "") for output in outputs(notebook))
        assert "Likely leak: numeric__lost" in said
    if path.stem.startswith("5"):
        said = "".join(output.get("text", "") for output in outputs(notebook))
        less = re.search(r"persistence \d+ kW, model \d+ kW: (-?\d+)% less", said)
        assert less is not None and int(less[1]) >= 3
    if path.stem.startswith("7"):
        said = "".join(output.get("text", "") for output in outputs(notebook))
        r2 = re.search(r"R² (0\.\d+) on 16,\d+ rows", said)
        assert r2 is not None and float(r2[1]) > 0.95
        assert "line 4005: the header again" in said
