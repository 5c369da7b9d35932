"""A fit over data that memory can't hold scatters it once, and trains on each row once an epoch."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import vaex

from vaxseq.loading.readers.frame import FrameReader
from vaxseq.training.sequence import Sequence

ROWS = 20_000


@pytest.mark.slow
def test_a_fit_reads_the_data_once_and_an_evaluation_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "d.hdf5"
    vaex.from_arrays(x=np.arange(ROWS) % 7.0, y=np.arange(ROWS) % 3).export_hdf5(str(path))
    monkeypatch.setenv("VAXSEQ_MEMORY", "100kB")
    monkeypatch.setenv("VAXSEQ_SCRATCH", str(tmp_path))
    train = Sequence(path, inputs=["x"], targets="y", batch_size=500, shuffle="global")
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    monkeypatch.setattr(FrameReader, "gather", lambda *_, **__: pytest.fail("a batch was gathered from all over"))
    model.fit(train, epochs=3, verbose=0)
    model.evaluate(train, verbose=0)
    first = model.evaluate(train, verbose=0)
    assert train._epochs.whole.loader._ordered.passes == 1  # type: ignore[attr-defined]
    assert train._epochs.evaluation().part.loader._ordered.passes == 1  # type: ignore[attr-defined]
    assert train.epoch == 2
    inputs = (np.arange(ROWS) % 7).astype(np.float32)[:, None]
    np.testing.assert_allclose(first, model.evaluate(inputs, np.arange(ROWS) % 3, verbose=0), rtol=1e-4)
    assert [one.name for one in tmp_path.iterdir()] == ["d.hdf5"]


def test_a_loop_gathers_its_first_batch_and_scatters_for_the_second(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "d.hdf5"
    vaex.from_arrays(x=np.arange(ROWS)).export_hdf5(str(path))
    options = {"inputs": ["x"], "batch_size": 500, "shuffle": "global"}
    expected = [batch[0] for batch in Sequence(path, read_ahead=0, **options)]  # or its threads would be noted, too
    monkeypatch.setenv("VAXSEQ_MEMORY", "100kB")
    monkeypatch.setenv("VAXSEQ_SCRATCH", str(tmp_path))
    gathered, gather = [], FrameReader.gather

    def noted(reader, row_ids, **options):
        gathered.append(len(row_ids))
        return gather(reader, row_ids, **options)

    monkeypatch.setattr(FrameReader, "gather", noted)
    train = Sequence(path, **options)
    next(iter(train))
    train.epoch = 0
    assert (gathered, train._epochs.whole.loader._ordered.passes) == ([500], 0)  # type: ignore[attr-defined]
    for _ in range(2):
        train.epoch = 0
        for one, other in zip(train, expected, strict=True):
            np.testing.assert_array_equal(np.asarray(one[0]), np.asarray(other))
    assert train._epochs.whole.loader._ordered.passes >= 1  # type: ignore[attr-defined]
    assert set(gathered) == {500}
    assert len(gathered) <= 3
