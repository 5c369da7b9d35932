"""What a Sequence says of itself is what it serves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import vaex

from vaxseq import Window
from vaxseq.errors import OptionError
from vaxseq.training.sequence import Sequence


def make_frame(rows: int = 1000):
    x = np.arange(rows, dtype=np.float64)
    y = np.where(x % 10 == 0, np.nan, x)
    return vaex.from_arrays(x=x, z=x * 2, y=y)


def test_rows_are_accounted_for() -> None:
    frame = make_frame()
    frame = frame[frame.x >= 100]
    train = Sequence(
        frame, inputs=["x", "z"], targets="y", where="x < 900", rows=slice(0, 500), on_missing="drop", batch_size=64
    )
    told = train.describe()
    assert told.left_out == {
        "the frame's filter and where=x < 900": 200,
        "rows=": 300,
        "a missing target or weight": 50,
    }
    assert told.rows - sum(told.left_out.values()) == told.items == train.num_rows == 450


def test_batches_and_bytes_are_those_served() -> None:
    train = Sequence(make_frame(), inputs={"a": ["x", "z"], "b": "x"}, targets="z", batch_size=300, shuffle="global")
    told = train.describe(seconds=0)
    batches = [train.batch(0, index) for index in range(told.num_batches)]
    assert told.epoch_bytes == sum(
        sum(np.asarray(one).nbytes for one in x.values()) + np.asarray(y).nbytes for x, y in batches
    )
    assert (told.batch_size, told.last_batch) == (300, 100)
    assert [(one.role, one.name, one.shape, one.features) for one in told.arrays] == [
        ("input", "a", (2,), ("x", "z")),
        ("input", "b", (1,), ("x",)),
        ("target", "z", (), ("z",)),
    ]
    assert told.expected_s is None
    assert told.order == "shuffled (global), seed 0"
    assert told.way == "gathered from the frame"


def test_of_windows_and_shards() -> None:
    frame = vaex.from_arrays(t=np.arange(100.0), x=np.arange(100.0))
    window = Window(length=10, stride=5, order_by="t")
    told = Sequence(frame, inputs=["x"], window=window, batch_size=4, shard=(1, 2), pad=True).describe()
    assert (told.unit, told.items, told.shard) == ("windows", 19, (1, 2))
    assert told.way == "read through from the frame"
    assert told.arrays[0].shape == (10, 1)


def test_of_a_store(tmp_path: Path) -> None:
    frame = make_frame()
    train = Sequence(frame, inputs=["x"], where="x < 700", store=tmp_path / "store.h5", batch_size=50)
    told = Sequence(frame, inputs=["x"], where="x < 700", store=tmp_path / "store.h5", batch_size=50).describe()
    assert told.items == train.num_rows == 700
    assert sum(told.left_out.values()) == 300
    assert "packed store" in told.way


def test_it_shows_itself_and_goes_to_json() -> None:
    told = Sequence(make_frame(), inputs=["x"], batch_size=256).describe()
    assert told.expected_s is not None
    assert told.expected_s > 0
    assert "1,000" in repr(told)
    assert "read through from the frame" in told._repr_html_()
    assert json.loads(json.dumps(told.to_dict()))["items"] == 1000


def test_describing_leaves_training_where_it_was() -> None:
    train = Sequence(make_frame(), inputs=["x"], batch_size=256, shuffle="global")
    before = train.position()
    train.describe(seconds=0.01)
    assert train.position() == before


def test_a_wrong_time_is_refused() -> None:
    train = Sequence(make_frame(), inputs=["x"])
    with pytest.raises(OptionError, match="describe seconds: got -1"):
        train.describe(seconds=-1)
