"""The plot of the orders can be drawn anew, and the one that the reference shows is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent


@pytest.mark.bench
def test_the_orders_are_drawn(bench: Callable[..., Any], tmp_path: Path) -> None:
    options = ["--rows", "200000", "--output", tmp_path / "o.png"]
    bench("plot_shuffle.py", *options, env={"MPLBACKEND": "Agg"})
    assert (tmp_path / "o.png").stat().st_size > 10_000
    page = (FOLDER.parent.parent / "vaxseq" / "reference" / "sequence.md").read_text(encoding="utf-8")
    assert "(../../tests/bench/shuffle_quality.png)" in page
    assert (FOLDER / "shuffle_quality.png").stat().st_size < 150_000
