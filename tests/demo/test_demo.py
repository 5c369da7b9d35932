"""The demo: the scores it promises, the backend it picks, the samples it finds."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from sklearn.metrics import r2_score, roc_auc_score

from vaxseq import demo
from vaxseq.demo.scores import accuracy, auc, r2
from vaxseq.errors import MissingExtraError, OptionError

pytestmark = pytest.mark.usefixtures("quick_compiler")
# What each sample has to reach on rows held out; scripts that do worse have lost something on the way.
BARS = {"flights": 0.72, "turbines": 0.90, "digits": 0.95}


@pytest.mark.slow
@pytest.mark.backend
@pytest.mark.parametrize("name", BARS)
def test_a_sample_reaches_its_score(name: str, tmp_path: Path) -> None:
    shown = io.StringIO()
    (outcome,) = demo.run([name], output=tmp_path, console=Console(file=shown, width=120))
    assert outcome.score >= BARS[name]
    assert outcome.baseline < outcome.score - 0.1
    assert [step.name for step in outcome.steps] == ["convert", "split", "fit", "sequence", "train", "score"]
    assert f"{outcome.score:.3f}" in shown.getvalue()
    assert {path.suffix for path in tmp_path.iterdir()} <= {".arrow", ".hdf5", ".json"}


def test_an_unknown_sample_is_refused() -> None:
    with pytest.raises(OptionError, match="unknown sample 'flight'. Did you mean 'flights'"):
        demo.run(["flight"])


def backend_chosen(**environment: str) -> str:
    code = (
        "import sys; from vaxseq.demo.backend import choose_backend; print(*choose_backend(), 'keras' in sys.modules)"
    )
    env = {key: value for key, value in os.environ.items() if key != "KERAS_BACKEND"} | environment
    return subprocess.run([sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True).stdout


def test_it_picks_a_backend_and_says_which() -> None:
    assert backend_chosen().startswith("jax picked among the installed: jax")
    assert backend_chosen(KERAS_BACKEND="torch") == "torch named by KERAS_BACKEND False\n"


def test_a_backend_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.setattr("vaxseq.demo.backend.find_spec", lambda name: None)
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pytest.raises(MissingExtraError, match=r"KERAS_BACKEND: torch isn't installed.*pip install 'vaxseq\[torch\]'"):
        demo.choose_backend()
    monkeypatch.delenv("KERAS_BACKEND")
    with pytest.raises(MissingExtraError, match=r"no backend is installed. Run: pip install 'vaxseq\[jax\]'"):
        demo.choose_backend()


def test_scores_equal_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 500)
    score = np.round(rng.random(500) + truth * 0.3, 1)  # with ties
    assert auc(truth, score) == pytest.approx(roc_auc_score(truth, score), abs=1e-12)
    wanted = rng.random(500)
    assert r2(wanted, score) == pytest.approx(r2_score(wanted, score), abs=1e-12)
    assert accuracy(np.array([2, 0]), np.array([[0, 0, 1], [1, 0, 0]])) == 1.0
