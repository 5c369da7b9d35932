"""What the walk kills and runs again: each makes something out of a.csv and b.csv, dataset `d` or file `d.arrow`."""

from __future__ import annotations

from pathlib import Path

import vaxseq as vs
from vaxseq.convert.readers import readers

readers()  # imported before the fork


def convert_file() -> None:
    vs.convert("a.csv", "o.arrow", on_bad_rows="reject", schema={"columns": {"v": "float64"}}, progress=False)


def convert_folder() -> None:
    vs.convert("a.csv", "o", progress=False, on_bad_rows="reject", schema={"columns": {"v": "float64"}})


def convert_hdf5() -> None:
    vs.convert("a.csv", "o.hdf5", progress=False, on_bad_rows="reject", schema={"columns": {"v": "float64"}})


def append() -> None:
    vs.convert("b.csv", "d", append=True, progress=False)


def append_again() -> None:
    vs.convert("a.csv", "d", append=True, again=True, progress=False)


def compact() -> None:
    vs.compact("m", progress=False)


def overwrite_folder() -> None:
    vs.convert("b.csv", "d", overwrite=True, progress=False)


def overwrite_file() -> None:
    vs.convert("b.csv", "d.arrow", overwrite=True, progress=False)


def materialize() -> None:
    vs.materialize("d.arrow", None, "s.h5", inputs=["i"], progress=False)


def materialize_shuffled() -> None:
    vs.materialize("d.arrow", None, "s.h5", inputs=["i"], shuffle_seed=1, progress=False)


def overwrite_store() -> None:
    vs.materialize("d.arrow", None, "t.h5", inputs=["i"], where="i > 20", overwrite=True, progress=False)


def report() -> None:
    vs.report(vs.open("d.arrow"), "r.html", progress=False)


def save_state() -> None:
    features = {"version": 1, "inputs": {"x": {"features": [{"column": "i", "steps": ["standardize"]}]}}}
    vs.FeatureSet.from_dict(features).fit(vs.open("d.arrow"), progress=False).save("f.json")


def cached_store() -> None:
    """The store that a Sequence keeps in the cache folder."""
    import os

    os.environ["VAXSEQ_CACHE"] = str(Path("cache").absolute())
    len(vs.Sequence("d.arrow", inputs=["i"], where="i % 3 == 0", batch_size=10, store="auto"))


def split_files() -> None:
    from vaxseq.cli import main

    try:
        main(["split", "d.arrow", "-p", "train=0.5", "-p", "test=0.5", "-o", "parts", "--overwrite", "--quiet"])
    except SystemExit as ended:
        if ended.code:
            raise
