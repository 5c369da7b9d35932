"""What is fuzzed: a target takes bytes, and gives back nothing or raises a VaxseqError; all else is a finding."""

from __future__ import annotations

import functools
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import vaex

import vaxseq as vs
from vaxseq.dataset.manifest import Manifest
from vaxseq.dataset.manifest_schema import checksum_of
from vaxseq.features.learning import state_file

FOLDER = Path(tempfile.mkdtemp(prefix="vaxseq-fuzz-"))
RECORDS = {
    "a": [1.0, 2.0], "b": [None, 1.0], "k": ["k1", "zz"], "i": [1, 2], "y": [0, 1],
    "t": np.array(["2020-01-01", "2021-01-01"], "datetime64[s]"),
}  # fmt: skip
FEATURES = {
    "version": 1,
    "columns": {"c": "a * 2 + 1"},
    "inputs": {
        "x": {
            "features": [
                {"column": "a", "steps": ["standardize"]},
                {"column": "b", "name": "b1", "steps": [{"impute": {"strategy": "median"}}, "robust"]},
                {
                    "column": "b", "name": "b2",
                    "steps": [{"impute": {"strategy": "constant", "value": 0}}, {"clip": {"lower": -1}}, "min_max"],
                },
                {"column": "c", "steps": [{"quantile": {}}]},
                {"column": "k", "steps": ["one_hot"]},
                {"column": "i", "steps": ["frequency"]},
                {"column": "t", "steps": [{"cyclical": {"period": "day"}}]},
            ]
        },
        "e": {
            "dtype": "int32",
            "features": [
                {"column": "k", "name": "kv", "steps": ["vocabulary"]},
                {"column": "k", "name": "kh", "steps": [{"hash": {"buckets": 50}}]},
            ],
        },
    },
    "targets": {"y": {"column": "y", "classes": True}},
}  # fmt: skip


def table(rows: int = 400) -> pa.Table:
    rng = np.random.default_rng(0)
    return pa.table({
        "a": rng.normal(size=rows), "b": pa.array(rng.normal(size=rows), mask=rng.random(rows) < 0.2),
        "k": [f"k{i % 7}" for i in range(rows)], "i": rng.integers(0, 9, rows), "y": rng.integers(0, 3, rows),
        "t": np.datetime64("2020-01-01T00", "s") + np.arange(rows) * 3600,
    })  # fmt: skip


@functools.cache
def fitted_document() -> dict[str, Any]:
    """A state file of many kinds of steps, without its digest."""
    fitted = vs.FeatureSet.from_dict(FEATURES).fit(vaex.from_arrow_table(table()), progress=False)
    fitted.save(FOLDER / "fitted.json")
    document: dict[str, Any] = json.loads((FOLDER / "fitted.json").read_text())
    document.pop("sha256")
    return document


@functools.cache
def manifest_document() -> dict[str, Any]:
    """The manifest of a folder, without its checksum."""
    made = vs.convert(table(), FOLDER / "dataset", progress=False)
    raw = made.to_dict()
    raw.pop("checksum")
    return raw


def load_fitted(document: Any) -> None:
    """Reads a state file with a digest that fits, as a stranger would write it, and serves records with it."""
    if isinstance(document, dict):
        document = {**document, "sha256": state_file._digest(document)}
    vs.FittedFeatures.from_json(json.dumps(document)).transform_records(RECORDS)


def load_manifest(document: Any) -> None:
    """Reads a manifest with a checksum that fits, and opens its dataset."""
    if isinstance(document, dict):
        document = {**document, "checksum": checksum_of(document)}
    Manifest.from_dict(document, str(FOLDER / "dataset")).check_files()
    (FOLDER / "dataset" / "manifest.json").write_text(json.dumps(document))
    vs.open(FOLDER / "dataset")


def fitted(data: bytes) -> None:
    """A state file of any bytes."""
    vs.FittedFeatures.from_json(data.decode("utf-8", "replace"))


def manifest(data: bytes) -> None:
    """A manifest of any bytes."""
    (FOLDER / "dataset").mkdir(exist_ok=True)
    (FOLDER / "dataset" / "manifest.json").write_bytes(data)
    vs.open(FOLDER / "dataset")


def _reader(suffix: str) -> Callable[[bytes], None]:
    def target(data: bytes) -> None:
        path = FOLDER / f"source{suffix}"
        path.write_bytes(data)
        vs.convert(path, FOLDER / "made.arrow", overwrite=True, resume=False, progress=False, on_bad_rows="reject")

    return target


READERS = {suffix: _reader(suffix) for suffix in (".csv", ".jsonl", ".parquet", ".arrow", ".npy", ".hdf5")}
TARGETS: dict[str, Callable[[bytes], None]] = {"fitted": fitted, "manifest": manifest, **READERS}


def seed_of(target: str) -> bytes:
    """A good input to begin with."""
    path = FOLDER / f"seed{target}"
    if target == "fitted":
        fitted_document()
        return (FOLDER / "fitted.json").read_bytes()
    if target == "manifest":
        return json.dumps(manifest_document()).encode()
    if target in (".arrow", ".hdf5"):
        vs.convert(table(40), path, overwrite=True, progress=False)
    elif target == ".parquet":
        pq.write_table(table(40), path)
    elif target == ".npy":
        np.save(path, np.arange(40.0))
    elif target == ".csv":
        table(40).to_pandas().to_csv(path, index=False)
    else:
        table(40).to_pandas().to_json(path, orient="records", lines=True)
    return path.read_bytes()


def fits_memory(limit_bytes: int) -> None:
    """Lets this process take no more."""
    import resource

    resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, limit_bytes))
    os.environ.setdefault("VAXSEQ_CACHE", str(FOLDER / "cache"))
