"""Array columns of Arrow files are NumPy arrays to vaex."""

from __future__ import annotations

import pickle

import numpy as np
import pyarrow as pa
import pytest

from vaxseq.convert import convert
from vaxseq.frame import open as open_frame

CELLS = {
    "v": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]],
    "m": [[[1, 2], [3, 4]]] * 3,
    "n": [[1, None], None, [3, 4]],
    "y": [1, 2, 3],
}


@pytest.fixture
def frame(tmp_path):
    kinds = {"v": pa.list_(pa.float32(), 2), "m": pa.list_(pa.list_(pa.int16(), 2), 2), "n": pa.list_(pa.int8(), 2)}
    table = pa.table({name: pa.array(cells, kinds.get(name)) for name, cells in CELLS.items()})
    return open_frame(convert(table, tmp_path / "a.arrow", progress=False).location)


def test_they_evaluate_to_numpy(frame) -> None:
    assert frame.evaluate("v").dtype == np.float32
    np.testing.assert_array_equal(frame.evaluate("v"), CELLS["v"])
    np.testing.assert_array_equal(frame.evaluate("m"), CELLS["m"])
    np.testing.assert_array_equal(frame.evaluate("n"), [[1, np.nan], [np.nan, np.nan], [3, 4]])
    assert frame.m.shape == (3, 2, 2)
    assert frame.v.tolist() == CELLS["v"]


def test_slices_filters_joins_and_pickles_hold_the_same(frame) -> None:
    np.testing.assert_array_equal(frame[1:3].evaluate("v"), CELLS["v"][1:])
    assert frame[2:3].evaluate("n").dtype == frame.evaluate("n").dtype == np.float64
    np.testing.assert_array_equal(frame[frame.y > 1].evaluate("m"), CELLS["m"][1:])
    np.testing.assert_array_equal(frame.concat(frame).evaluate("v"), CELLS["v"] * 2)
    np.testing.assert_array_equal(frame.take([2, 0]).evaluate("v"), [CELLS["v"][2], CELLS["v"][0]])
    raw = pickle.dumps(frame)
    assert len(raw) < 10_000
    np.testing.assert_array_equal(pickle.loads(raw).evaluate("n"), frame.evaluate("n"))
    assert frame[["v", "y"]].to_pandas_df(["y"]).y.tolist() == [1, 2, 3]
    assert "v" in repr(frame)
