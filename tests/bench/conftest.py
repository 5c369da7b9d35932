"""Benchmarks are scripts; the suite runs them through the test_*.py files and collects nothing else here."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from leaner import QUICKLY
from prepared import PreparedPython

collect_ignore_glob = ["[!t]*.py", "training.py"]
FOLDER = Path(__file__).parent


@pytest.fixture
def bench(keras_python: PreparedPython) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a benchmark, whose processes are forks that needn't import Keras anew."""

    def run(script: str, *options: str | Path, env: dict[str, str] | None = None) -> Any:
        command = [FOLDER / "forked.py", FOLDER / script, *options]
        done = keras_python.run(command, env={**os.environ, QUICKLY: "1", **(env or {})}, share=True, timeout=280)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    return run
