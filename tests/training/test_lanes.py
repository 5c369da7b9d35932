"""Windows in lanes under a stateful recurrent layer, beside a plain loop over each lane."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import vaex

from vaxseq import Sequence, Window
from vaxseq.errors import OptionError

pytestmark = pytest.mark.backend
LENGTH, LANES = 4, 3


def series(lengths: list[int]):
    rng = np.random.default_rng(0)
    rows = sum(lengths)
    return vaex.from_arrays(
        row=np.arange(rows), x=rng.normal(size=rows), y=rng.normal(size=rows),
        s=np.repeat(np.arange(len(lengths)), lengths), t=np.concatenate([np.arange(n) for n in lengths]),
    )  # fmt: skip


def sequence(frame, inputs=("x",), **options) -> Sequence:
    window = Window(LENGTH, LENGTH, group_by="s", order_by="t", lanes=True)
    return Sequence(frame, inputs=list(inputs), targets="y", window=window, **{"batch_size": LANES, **options})


@pytest.mark.parametrize("lengths", [[100], [40, 33, 9, 30], [8, 8, 8, 8, 8]])
def test_each_row_goes_on_where_it_stopped_unless_a_series_begins(lengths):
    frame = series(lengths)
    data = sequence(frame, inputs=["row", "s"])
    assert len(data) == sum(n // LENGTH for n in lengths) // LANES
    last = None
    seen = []
    for i in range(len(data)):
        rows, groups = np.moveaxis(np.asarray(data[i][0]), -1, 0).astype(int)
        assert rows.shape == (LANES, LENGTH)
        begins = data.lane_starts(i)
        for lane in range(LANES):
            goes_on = (
                last is not None and rows[lane, 0] == last[lane] + 1 and frame.s.values[last[lane]] == groups[lane, 0]
            )
            assert goes_on != begins[lane]
        last = rows[:, -1]
        seen += rows.ravel().tolist()
    assert len(seen) == len(set(seen))
    assert data.batch(0, 1)[0].shape == data.batch(5, 1)[0].shape
    assert np.array_equal(np.asarray(data.batch(0, 1)[0]), np.asarray(data.batch(5, 1)[0]))


def test_a_stateful_layer_computes_what_a_plain_loop_over_each_lane_does():
    data = sequence(series([98]))
    keras.utils.set_random_seed(0)
    stateful = keras.Sequential([keras.Input(batch_shape=(LANES, LENGTH, 1)), keras.layers.GRU(5, stateful=True)])
    plain = keras.Sequential([keras.Input((None, 1)), keras.layers.GRU(5, return_sequences=True)])
    plain.set_weights(stateful.get_weights()[: len(plain.get_weights())])
    found = np.stack([np.asarray(keras.ops.convert_to_numpy(stateful(np.asarray(x)))) for x, _ in data])
    lanes = np.concatenate([np.asarray(x) for x, _ in data], axis=1)
    whole = np.asarray(keras.ops.convert_to_numpy(plain(lanes)))
    assert np.allclose(found, np.moveaxis(whole[:, LENGTH - 1 :: LENGTH], 1, 0), atol=1e-6)
    stateful.compile("sgd", "mse")
    predicted = []
    for given in (data, np.concatenate([np.asarray(x) for x, _ in data])):
        stateful.layers[0].reset_state()
        predicted.append(stateful.predict(given, batch_size=LANES, verbose=0))
    assert np.allclose(*predicted, atol=1e-6)
    assert len(data.attach(predicted[0], "state", epoch=0)) == 98


def test_a_position_in_lanes_is_gone_on_from():
    frame = series([98])
    done, rest = sequence(frame), sequence(frame)
    for i in range(3):
        done[i]
    rest.seek(done.position())
    for i, (x, _) in enumerate(rest, 3):
        assert np.array_equal(np.asarray(x), np.asarray(done.batch(0, i)[0]))
    assert i == len(done) - 1


def test_lanes_that_cannot_be_are_refused():
    with pytest.raises(OptionError, match="window lanes: got stride=1"):
        Window(4, lanes=True)
    with pytest.raises(OptionError, match="window lanes: got shuffle, balance, shard or pad"):
        sequence(series([98]), shuffle="global")
    with pytest.raises(OptionError, match="got 2 windows for 3 lanes"):
        sequence(series([9]))
    with pytest.raises(OptionError, match="there are no lanes"):
        Sequence(series([98]), inputs=["x"]).lane_starts(0)
