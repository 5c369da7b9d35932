"""Errors in a notebook are one readable message with the user's own line; the whole traceback is there on request."""

from __future__ import annotations

import numpy as np
import pytest
import vaex

import vaxseq as vs


@pytest.fixture
def shell(monkeypatch, tmp_path):
    """IPython as it is in a notebook's kernel."""
    from IPython.core.interactiveshell import InteractiveShell

    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    shell = InteractiveShell()
    shell.history_manager.enabled = False
    shell.push({"vs": vs, "frame": vaex.from_arrays(x=np.arange(5.0), y=np.arange(5))})
    yield shell
    shell.history_manager.end_session()


def said(shell, cell: str, monkeypatch) -> list[str]:
    """What the cell's error shows."""
    shown: list[str] = []
    monkeypatch.setattr(type(shell), "_showtraceback", lambda self, kind, value, text: shown.extend(text))
    assert shell.run_cell(cell).error_in_exec is not None
    return "\n".join(shown).splitlines()


def test_it_is_one_message(shell, monkeypatch):
    assert said(shell, "1\nvs.explore(frame, columns=['xx'], progress=False)", monkeypatch) == [
        "ColumnNotFoundError: column 'xx': not in the data. Did you mean 'x'?",
        "  at line 2: vs.explore(frame, columns=['xx'], progress=False)",
    ]


def test_a_function_of_the_user_is_told_by_its_line(shell, monkeypatch):
    cell = "def noisy(batch, rng):\n    return batch.foo\n\nvs.Sequence(frame, inputs=['x'], augment=noisy)[0]"
    lines = said(shell, cell, monkeypatch)
    assert lines[0].startswith("AugmentError: augment: batch 0 of epoch 0 failed: AttributeError: 'tuple' object")
    assert lines[-2:] == [
        "  at line 4: vs.Sequence(frame, inputs=['x'], augment=noisy)[0]",
        "  at line 2: return batch.foo",
    ]


def test_other_errors_are_left_alone(shell, monkeypatch):
    assert "ZeroDivisionError" in said(shell, "1 / 0", monkeypatch)[-1]
    assert len(said(shell, "1 / 0", monkeypatch)) > 2
