"""A Sequence states how good its shuffle is."""

from __future__ import annotations

import numpy as np
import vaex

from vaxseq.training.sequence import Sequence


def test_each_order_states_its_quality() -> None:
    frame = vaex.from_arrays(x=np.arange(600_000, dtype=np.float32))
    found = {
        shuffle: Sequence(frame, inputs=["x"], shuffle=shuffle, batch_size=256).shuffle_quality()
        for shuffle in (False, "block", "global")
    }
    assert found[False].lag1 == 1 and found[False].displacement == 0 and found[False].run_length > 50_000
    assert abs(found["block"].lag1) < 0.25 and found["block"].run_length < 1.6
    assert abs(found["global"].lag1) < 0.01 and abs(found["global"].displacement - 1 / 3) < 0.01
    assert abs(found["global"].run_length - found["global"].run_length_uniform) < 0.01
    assert found[False].batch_spread > 10 and found["block"].batch_spread < 1.3
    assert 0.9 < found["global"].batch_spread < 1.1
    assert "lag-1 correlation" in str(found["block"])
