"""The plot of the orders can be drawn anew, and the one that the reference shows is there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


@pytest.mark.bench
def test_the_orders_are_drawn(tmp_path: Path) -> None:
    command = [sys.executable, str(FOLDER / "plot_shuffle.py"), "--rows", "200000", "--output", str(tmp_path / "o.png")]
    subprocess.run(command, check=True, timeout=120)
    assert (tmp_path / "o.png").stat().st_size > 10_000
    page = (FOLDER.parent.parent / "vaxseq" / "reference" / "sequence.md").read_text(encoding="utf-8")
    assert "(../../tests/bench/shuffle_quality.png)" in page
    assert (FOLDER / "shuffle_quality.png").stat().st_size < 150_000
