"""The loading and training benchmarks run, small and untimed, and write what they say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

LEFT_OUT = [
    "vaxseq hdf5, in order",  # as arrow
    "tf.data slices, in order",
    "torch DataLoader, in order",
    "vaex to_keras_generator, in order",
    *(f"vaxseq {rows} rows, {order}, start" for rows in ("all", "half the") for order in ("in order", "global")),
    "vaxseq all rows, global, end",
]


@pytest.mark.bench
@pytest.mark.slow
def test_the_loading_benchmarks_run(bench: Callable[..., Any], tmp_path: Path) -> None:
    options = ["--rows", "20000", "--large-rows", "60000", "--rounds", "1", "--seconds", "0.01", "--batch", "1000"]
    options += ["--patience", "10000"]  # whole epochs, however busy the machine is
    options += ["--data", str(tmp_path / "data"), "--output", str(tmp_path)]
    options += ["--only", "in-order", "filtered", "fit-jax", "cold", "--without", *LEFT_OUT]
    bench("run.py", *options, env={"MPLBACKEND": "Agg"})
    report = json.loads((tmp_path / "results.json").read_text())
    assert [group["group"] for group in report["groups"]] == ["in-order", "filtered", "fit-jax", "cold"]
    in_order, filtered, fit, cold = report["groups"]
    for name in ("numpy copy", "vaxseq store, in order", "vaxseq arrow, in order", "h5py slices, in order"):
        assert in_order["rounds"][name][0]["rows"] % 20_000 == 0
    assert filtered["rounds"]["vaxseq half the rows, in order, end"][0]["rows"] % 3_000 == 0
    assert set(fit["table"]) == {f"fit on jax, {kind}" for kind in ("arrays", "store", "lazy", "one batch")}
    assert cold["rounds"]["vaxseq arrow, in order"][0]["rows"] == 20_000
    assert (tmp_path / "results.png").stat().st_size > 10_000
