"""A training's folder: whose it is, whether it can be written, and what becomes of damage."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import textwrap
import threading

import keras
import numpy as np
import pytest
import vaex

import vaxseq as vs
from vaxseq.errors import OptionError, PositionError

pytestmark = pytest.mark.backend


def sequence(**options) -> vs.Sequence:
    row = np.arange(40.0)
    frame = vaex.from_arrays(row=options.pop("row", row), y=row)
    return vs.Sequence(frame, **{"inputs": ["row"], "targets": "y", "batch_size": 8, "shuffle": "global", **options})


def model(units: int = 3, width: int = 1) -> keras.Model:
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Rescaling(0.01), keras.layers.Dense(units), keras.layers.Dense(1)]
    made = keras.Sequential([keras.Input((width,)), *layers])
    made.compile("adam", "mse")
    return made


def train(folder, epochs: int = 2, network: keras.Model | None = None, callbacks=(), **options) -> list[np.ndarray]:
    network = network or model()
    resume = vs.ResumeTraining(folder, every_batches=1)
    network.fit(sequence(**options), epochs=epochs, verbose=0, callbacks=[resume, *callbacks])
    return [np.asarray(one) for one in network.get_weights()]


class StopError(RuntimeError):
    pass


class StopAt(keras.callbacks.Callback):
    def __init__(self, batches: int) -> None:
        super().__init__()
        self.left = batches

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            raise StopError


def same(one, two) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("damage", ["cut weights", "a changed byte", "no weights", "cut record", "empty record"])
def test_a_damaged_state_is_told_and_the_one_before_it_is_gone_on_from(tmp_path, damage, caplog):
    whole = train(tmp_path / "whole")
    with pytest.raises(StopError):
        train(tmp_path / "run", callbacks=[StopAt(7)])
    record = tmp_path / "run" / "resume.json"
    weights = tmp_path / "run" / json.loads(record.read_text())["weights"]
    content = weights.read_bytes()
    if damage == "cut weights":
        weights.write_bytes(content[:-100])
    elif damage == "a changed byte":
        weights.write_bytes(content[:3000] + bytes([content[3000] ^ 1]) + content[3001:])
    elif damage == "no weights":
        weights.unlink()
    else:
        record.write_text(record.read_text()[:50] if damage == "cut record" else "")
    with caplog.at_level(logging.ERROR, "vaxseq"):
        assert same(train(tmp_path / "run"), whole)
    [said] = [one.message for one in caplog.records]
    assert said.startswith(str(weights if "record" not in damage else record))
    assert said.endswith("Training goes on from the state before it.")


def test_a_folder_without_a_whole_state_is_refused(tmp_path):
    train(tmp_path, epochs=1)
    for file in tmp_path.glob("*.json"):
        file.write_text("{")
    with pytest.raises(PositionError, match="There is no whole state before it. Delete the folder"):
        train(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"network": "units"}, r"another model; got .* of shape \[1, 4\], expected .* of shape \[1, 3\]"),
        ({"where": "row >= 20"}, "other where, rows or on_missing"),
        ({"inputs": ["y"]}, "other features"),
        ({"row": np.arange(40.0) + 1}, "other data"),
        ({"seed": 3}, "other seed"),
    ],
)
def test_a_folder_of_something_else_is_refused_before_anything_changes(tmp_path, options, message):
    first = {"where": "row < 20"} if "where" in options else {}
    train(tmp_path, epochs=1, **first)
    network = model(4) if options.pop("network", None) else model()
    before = [np.asarray(one) for one in network.get_weights()]
    with pytest.raises(PositionError, match=message):
        train(tmp_path, network=network, **options)
    assert same(before, [np.asarray(one) for one in network.get_weights()])


def test_a_folder_that_cannot_be_written_is_found_before_training(tmp_path):
    (tmp_path / "file").touch()
    network = model()
    before = [np.asarray(one) for one in network.get_weights()]
    with pytest.raises(OptionError, match="can't be written"):
        train(tmp_path / "file" / "run", network=network)
    assert same(before, [np.asarray(one) for one in network.get_weights()])


def test_two_trainings_in_one_process_do_not_share_a_folder(tmp_path):
    inside, over = threading.Event(), threading.Event()

    class Wait(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            inside.set()
            assert over.wait(60)

    thread = threading.Thread(target=train, args=(tmp_path,), kwargs={"callbacks": [Wait()]})
    thread.start()
    try:
        assert inside.wait(60)
        with pytest.raises(OptionError, match="another training saves there"):
            train(tmp_path)
    finally:
        over.set()
        thread.join()
    train(tmp_path, epochs=3)


def test_a_fit_that_broke_off_leaves_the_folder_to_the_next(tmp_path):
    with pytest.raises(StopError) as kept:  # with its frames, as a notebook keeps them
        train(tmp_path, callbacks=[StopAt(2)])
    assert same(train(tmp_path), train(tmp_path / "whole"))
    assert kept.tb


@pytest.mark.slow
def test_a_lock_ends_with_its_process_however_it_ends(keras_python, tmp_path):
    script = tmp_path / "holds.py"
    script.write_text(
        textwrap.dedent("""
        import sys
        from pathlib import Path
        from vaxseq.training.folder_lock import FolderLock

        class Owner: pass
        owner = Owner()
        FolderLock(Path(sys.argv[1])).take(owner)
        print("held", flush=True)
        sys.stdin.read()
        """)
    )
    folder = tmp_path / "run"
    folder.mkdir()
    process = keras_python.popen([script, folder], stdin=subprocess.PIPE)
    try:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(OptionError, match=f"another training saves there .process {process.pid} on "):
            train(folder)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    train(folder, epochs=1)


def test_weights_of_another_maker_are_never_removed(tmp_path):
    (tmp_path / "state-best.weights.h5").write_text("mine")
    train(tmp_path, epochs=3)
    assert (tmp_path / "state-best.weights.h5").read_text() == "mine"
    other = tmp_path / "other"
    other.mkdir()
    (other / "state-3.weights.h5").write_text("mine")
    with pytest.raises(OptionError, match=r"other: holds state-3.weights.h5, which no training of vaxseq's"):
        train(other)
    assert [one.name for one in other.iterdir()] == ["state-3.weights.h5"]
