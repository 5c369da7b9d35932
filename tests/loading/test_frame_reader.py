"""Rows to arrays: casts that would lose something are refused, missing values are told with their rows."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import vaex

from vaxseq.errors import FeatureTypeError, MissingValueError
from vaxseq.expressions.program import ProgramBuilder
from vaxseq.features.program.recipe import Field, Part, Recipe, column_recipe
from vaxseq.frame import source_of
from vaxseq.loading.readers.frame import FrameReader, take_rows, take_runs


def reader(frame: vaex.DataFrame, columns: list[str], dtype: str = "float32") -> FrameReader:
    source = source_of(frame)
    builder = ProgramBuilder()
    program = builder.build([builder.column(name) for name in columns])
    parts = tuple(Part(name, place, place, 1) for place, name in enumerate(columns))
    return FrameReader(source, Recipe(program, (Field("input", "x", np.dtype(dtype), (len(columns),), parts),)))


def test_ranges_gathers_and_runs_give_the_same_rows() -> None:
    rng = np.random.default_rng(0)
    frame = vaex.from_arrays(a=rng.random(40_000), b=rng.integers(0, 9, 40_000))
    mine = reader(frame, ["a", "b"])
    (whole,) = mine.read(0, 40_000)
    np.testing.assert_array_equal(whole, np.stack([frame["a"].values, frame["b"].values], axis=1).astype(np.float32))
    ids = rng.integers(0, 40_000, 30_000)
    np.testing.assert_array_equal(mine.gather(ids)[0], whole[ids])
    mask = rng.random(20_000) < 0.3
    np.testing.assert_array_equal(mine.read(5_000, 25_000, mask)[0], whole[5_000:25_000][mask])
    starts = np.array([7, 39_990, 0])
    np.testing.assert_array_equal(mine.runs(starts, 10)[0], np.concatenate([whole[s : s + 10] for s in starts]))
    spans = [(7, 20_007, None), (5_000, 25_000, mask), (39_990, 40_000, None)]
    out = [np.empty((20_000 + mask.sum() + 10, 2), np.float32)]
    ends = [0, 20_000, 20_000 + mask.sum(), len(out[0])]
    mine.read_spans(spans, [[out[0][low:high]] for low, high in pairwise(ends)])
    np.testing.assert_array_equal(
        out[0], np.concatenate([whole[7:20_007], whole[5_000:25_000][mask], whole[39_990:40_000]])
    )
    out = [np.empty((100, 2), np.float32)]
    assert mine.read(50, 150, out=out)[0] is out[0]
    np.testing.assert_array_equal(out[0], whole[50:150])


def test_what_a_dtype_cannot_hold_is_refused() -> None:
    frame = vaex.from_arrays(big=np.array([1, 300]), half=np.array([0.5, 1.0]), s=np.array(["a", "b"]),
                             t=np.array(["2020-01-01", "2020-01-02"], "M8[ns]"))  # fmt: skip
    with pytest.raises(FeatureTypeError, match="values from 1 to 300 don't fit uint8. Give the block a wider dtype"):
        reader(frame, ["big"], "uint8").read(0, 2)
    with pytest.raises(FeatureTypeError, match="got fractions .* for a block of int32, which would cut them off"):
        reader(frame, ["half"], "int32")
    with pytest.raises(FeatureTypeError, match="got text, expected numbers. Add a step"):
        reader(frame, ["s"])
    with pytest.raises(FeatureTypeError, match="got datetime, expected numbers. Add a step"):
        reader(frame, ["t"])


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_missing_values_are_told_with_their_rows(dtype: str) -> None:
    holes = np.zeros(30_000, dtype=bool)
    holes[[17, 20_005, 20_006, 29_999]] = True
    frame = vaex.from_arrays(m=np.ma.array(np.arange(30_000), mask=holes), ok=np.arange(30_000))
    mine = reader(frame, ["ok", "m"], dtype)
    with pytest.raises(
        MissingValueError, match=r"input 'x', 'm': missing in 4 of 30,000 rows; row ids 17, 20005, 20006, "
    ):
        mine.read(0, 30_000)
    with pytest.raises(
        MissingValueError, match=r"missing in 1 of 3 rows; row ids 17\. Say what a missing value becomes"
    ):
        mine.gather(np.array([3, 17, 4]))
    np.testing.assert_array_equal(mine.read(18, 20)[0], [[18, 18], [19, 19]])


def test_a_target_is_told_to_be_droppable() -> None:
    frame = vaex.from_arrays(x=np.arange(3.0), y=np.array([0.0, np.nan, 1.0]))
    source = source_of(frame)
    recipe = column_recipe(source.empty(["x", "y"]), ["x"], "y", None)
    with pytest.raises(
        MissingValueError, match=r"target 'y', 'y': missing in 1 of 3 rows; row ids 1\. Pass on_missing"
    ):
        FrameReader(source, recipe).read(0, 3)


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 4)])
@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", "float64"])
def test_rows_move_as_wholes(shape: tuple[int, ...], dtype: str) -> None:
    array = np.random.default_rng(1).integers(0, 99, (50, *shape)).astype(dtype)
    ids = np.array([4, 4, 49, 0])
    np.testing.assert_array_equal(take_rows(array, ids), array[ids])
    np.testing.assert_array_equal(take_runs(array, np.array([0, 45]), 5), np.stack([array[:5], array[45:]]))
    assert take_rows(array, ids[:0]).shape == (0, *shape)
