"""Batches on the device before they're asked for, and rows kept there: the same bits as out of the host's memory."""

from __future__ import annotations

import functools
import gc
import json
import pickle
import sys
import threading
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import vaex
from hypothesis import given, settings
from hypothesis import strategies as st
from prepared import PreparedPython

import vaxseq as vs
from vaxseq.errors import OptionError
from vaxseq.frame.buffers import BufferPool
from vaxseq.frame.pages import aligned_bytes
from vaxseq.training import device_feed, resident
from vaxseq.training.devices import placement_of

if keras.backend.backend() == "jax":
    import jax

pytestmark = pytest.mark.backend
BACKEND = keras.backend.backend()
ROWS, SIZE = 1000, 64
THERE = {"ahead": {"device": "cpu:0"}, "kept": {"store": "device"}}


def frame(rows: int = ROWS) -> Any:
    draw = np.random.default_rng(0)
    x = draw.normal(size=rows)
    y = 2 * x
    if rows > 999:
        x[-3:] = -0.0, 1e-40, 3e38
    kind = draw.integers(0, 3, rows)
    return vaex.from_arrays(row=np.arange(rows), x=x, y=y, kind=kind, w=draw.random(rows), group=np.arange(rows) // 100)


def sequence(**options: Any) -> vs.Sequence:
    return vs.Sequence(frame(), **{"inputs": ["row", "x"], "targets": "y", "batch_size": SIZE, **options})


def bits(batch: Any) -> Any:
    """A batch as plain values: shape, type and bytes of each array."""
    arrays = [None if one is None else np.asarray(one) for one in keras.tree.flatten(batch)]
    return [None if one is None else (one.shape, one.dtype.str, one.tobytes()) for one in arrays]


def is_native(array: Any) -> bool:
    return keras.ops.is_tensor(array)


CASES: dict[str, dict[str, Any]] = {
    "in order": {},
    "global": {"shuffle": "global"},
    "block": {"shuffle": "block"},
    "padded": {"shuffle": "global", "pad": True},
    "a rank of three": {"shuffle": "global", "shard": (2, 3)},
    "a rank without rows at the end": {"shuffle": "global", "shard": (1, 2), "batch_size": 333},
    "whole batches": {"shuffle": "global", "drop_remainder": True},
    "weights": {"sample_weight": "w", "pad": True},
    "classes weighted": {"targets": "kind", "class_weight": {0: 3.0, 2: 0.5}, "shuffle": "global"},
    "balanced": {"targets": "kind", "balance": {0: 0.5, 1: 0.25, 2: 0.25}, "shuffle": "global"},
    "several inputs": {
        "inputs": {"a": ["x", "w"], "b": "row"},
        "targets": {"u": "y", "v": "kind"},
        "shuffle": "global",
    },
    "no targets": {"targets": None},
    "windows": {"window": vs.Window(length=8, stride=4, group_by="group"), "shuffle": "global"},
    "some rows": {"where": "x > 0", "rows": slice(10, 400), "shuffle": "global"},
}


@pytest.mark.parametrize("way", THERE)
@pytest.mark.parametrize("case", CASES)
def test_a_loop_has_the_same_bits_there(case: str, way: str) -> None:
    host, there = sequence(**CASES[case]), sequence(**CASES[case], **THERE[way])
    for epoch in range(2):
        batches = list(there)  # all of them held, so that none may lie in memory that is used again
        assert [bits(one) for one in batches] == [bits(host.batch(epoch, index)) for index in range(len(host))]
        assert is_native(keras.tree.flatten(batches[0])[0])


@pytest.mark.slow
@pytest.mark.parametrize("way", THERE)
@given(
    data=st.data(),
    shuffle=st.sampled_from([False, "global", "block"]),
    pad=st.booleans(),
    ranks=st.integers(1, 3),
    sought=st.integers(0, 400),
)
@settings(max_examples=25)
def test_any_plan_has_the_same_bits_there(way, data, shuffle, pad, ranks, sought) -> None:
    # rows that are kept are gathered by a program that is compiled for their number and a batch's
    few = way == "kept"
    rows = data.draw(st.sampled_from([1, 60, 299]) if few else st.integers(1, 300))
    size = data.draw(st.sampled_from([5, 20, 64, 130]) if few else st.integers(1, 130))
    options = {"inputs": ["row", "x"], "targets": "y", "batch_size": size, "shuffle": shuffle, "pad": pad}
    options["shard"] = (ranks - 1, ranks)
    host, there = (vs.Sequence(frame(rows), **options, **more) for more in ({}, THERE[way]))
    read = sought % (len(host) + 1)
    for one in (host, there):
        taken = iter(one)
        for _ in range(read):
            next(taken)
    assert host.position() == there.position()
    position = host.position()
    for one in (host, there):
        one.seek(position)
    assert [bits(one) for one in there] == [bits(one) for one in host]


class Recorder(keras.Model):
    """Notes the bits of the batches that reach its steps, and whether they were tensors already."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(1)
        self.seen: list[Any] = []
        self.steps: dict[str, Any] = {}

    def call(self, x: Any) -> Any:
        return self.dense(x)

    def _noted(self, name: str, arguments: Any) -> Any:
        self.seen.append(bits(arguments[-1]))
        if name not in self.steps:
            step = functools.partial(getattr(keras.Model, name), self)
            self.steps[name] = jax.jit(step) if BACKEND == "jax" else step  # or each operation would be compiled
        return self.steps[name](*arguments)

    def train_step(self, *arguments: Any) -> Any:
        return self._noted("train_step", arguments)

    def test_step(self, *arguments: Any) -> Any:
        return self._noted("test_step", arguments)


def trained(train: Any, validation: Any, **options: Any) -> tuple[list[Any], list[float]]:
    keras.utils.set_random_seed(0)
    model = Recorder()
    model.compile("sgd", "mse", weighted_metrics=[], run_eagerly=True, jit_compile=False)
    history = model.fit(train, validation_data=validation, epochs=2, shuffle=False, verbose=0, **options).history
    return model.seen, history["loss"] + history["val_loss"]


FITS: dict[str, tuple[int, dict[str, Any]]] = {  # rows that are left over, of which another program is compiled
    "padded": (52, {"pad": True}),
    "weighted": (64, {"sample_weight": "w"}),
    "plain": (52, {}),
}


@functools.cache
def trained_on(way: str, options: str) -> Any:
    left, more = FITS[options]
    more = {**more, **(THERE[way] if way else {"device": None})}
    return trained(
        sequence(inputs=["x", "w"], rows=slice(0, 7 * SIZE + left), shuffle="global", **more),
        sequence(inputs=["x", "w"], rows=slice(0, 3 * SIZE + left), **more),
    )


@pytest.mark.slow
@pytest.mark.parametrize("way", THERE)
@pytest.mark.parametrize("options", FITS)
def test_fit_and_its_validation_get_the_same_bits(way: str, options: str) -> None:
    there, host = trained_on(way, options), trained_on("", options)
    assert there == host
    assert len(host[0]) == 2 * (8 + 4)


@functools.cache
def compiled_on(way: str) -> Any:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    more = THERE[way] if way else {"device": None}
    data = sequence(inputs=["x"], rows=slice(0, 896), shuffle="global", **more)
    history = model.fit(data, epochs=3, shuffle=False, verbose=0).history["loss"]
    return history, model.evaluate(data, verbose=0), model.predict(data, verbose=0).tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("way", THERE)
def test_compiled_steps_evaluate_and_predict_are_the_same(way: str) -> None:
    assert compiled_on(way) == compiled_on("")


@pytest.mark.slow
def test_fit_s_class_weight_is_given_before_a_batch_goes_there() -> None:
    options = {"inputs": ["x", "w"], "targets": "kind", "rows": slice(0, 8 * SIZE)}
    found = [
        trained(sequence(**options, **more), sequence(**options, **more), class_weight={0: 2.0, 1: 1.0, 2: 3.0})
        for more in ({"device": None}, THERE["ahead"])
    ]
    assert found[0] == found[1]
    with pytest.raises(OptionError, match="give class_weight to the Sequence"):
        trained(sequence(**options, store="device"), sequence(**options), class_weight={0: 2.0})


@pytest.mark.slow
@pytest.mark.parametrize("way", THERE)
def test_a_pass_that_goes_on_over_epochs_of_keras_has_the_same_bits(way: str) -> None:
    found = [
        trained(
            sequence(inputs=["x", "w"], rows=slice(0, 500), shuffle="global", **more),
            sequence(inputs=["x", "w"], rows=slice(0, 244), **more),
            steps_per_epoch=3,
        )
        for more in ({"device": None}, THERE[way])
    ]
    assert found[0] == found[1]
    assert len(found[0][0]) == 2 * (3 + 4)


def test_position_in_a_fit_counts_what_was_trained_on() -> None:
    options = {"inputs": ["x"], "rows": slice(0, 896), "shuffle": "global"}
    data, told = sequence(**options, device="cpu:0"), []

    class Note(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            told.append(data.position())

    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(data, epochs=2, shuffle=False, verbose=0, callbacks=[Note()])
    host = sequence(**options, device=None)
    for epoch in range(2):
        for index, _ in enumerate(host):
            assert told[epoch * len(host) + index] == host.position()


class Counted(vs.Sequence):
    """Notes the batches that are made."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.made: list[int] = []
        super().__init__(*args, **options)

    def __getitem__(self, index: Any) -> Any:
        self.made.append(index)
        return super().__getitem__(index)


@pytest.mark.parametrize(("most_bytes", "ahead"), [(1 << 30, 2), (1, 1)])
def test_so_many_batches_are_made_ahead_and_no_more(most_bytes, ahead, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vaxseq.training.joined_batches._TOGETHER", 1)
    monkeypatch.setattr(device_feed, "_AHEAD_BYTES", most_bytes)
    data = Counted(frame(), inputs=["row", "x"], targets="y", batch_size=SIZE, device="cpu:0")
    batches = iter(data)
    for asked in range(1, 4):
        next(batches)
        while len(data.made) < asked + ahead:
            time.sleep(0.001)
        time.sleep(0.02)  # for one too many
        assert len(data.made) == asked + ahead
        assert data.position()["item"] == asked * SIZE, "it counts what was asked for"
    batches.close()
    assert not workers()


def workers() -> list[threading.Thread]:
    gc.collect()  # a fit that stopped in the midst of a pass may be left in a circle of objects
    return [one for one in threading.enumerate() if one.name.startswith("vaxseq-device")]


def test_an_error_comes_in_its_turn_and_the_thread_ends() -> None:
    class Broken(vs.Sequence):
        def __getitem__(self, index: Any) -> Any:
            if index == 5:
                raise ZeroDivisionError("the sixth")
            return super().__getitem__(index)

    data = Broken(frame(), inputs=["x"], batch_size=SIZE, device="cpu:0")
    batches = iter(data)
    assert len([next(batches) for _ in range(5)]) == 5
    with pytest.raises(ZeroDivisionError, match="the sixth"):
        next(batches)
    del batches
    gc.collect()
    assert not workers()


def test_a_loop_that_is_left_ends_its_thread_and_the_next_epoch_is_whole() -> None:
    data, host = sequence(shuffle="global", device="cpu:0"), sequence(shuffle="global")
    for _, _batch in zip(range(3), data, strict=False):
        pass
    assert [bits(one) for one in data] == [bits(host.batch(1, index)) for index in range(len(host))]
    assert not workers()


def test_auto_does_nothing_on_a_processor() -> None:
    data = sequence()
    works_on = str(keras.ops.zeros(()).device).lower()
    if "gpu" in works_on or "cuda" in works_on or "tpu" in works_on:
        pytest.skip("this backend works on an accelerator")
    assert placement_of("auto") is None
    assert not is_native(next(iter(data))[0]) or BACKEND == "torch"
    model = keras.Sequential([keras.layers.Dense(1)])
    model.predict(data, verbose=0)
    assert data.describe(seconds=0).device is None
    assert "device" not in str(data)


def test_describe_and_print_say_what_is_there() -> None:
    told = sequence(device="cpu:0").describe(seconds=0)
    assert told.device is not None and told.device.endswith("2 batches ahead")
    assert told.device_bytes == 2 * SIZE * 12
    assert "2 batches ahead" in str(told) and "2 batches ahead" in str(sequence(device="cpu:0"))
    kept = sequence(store="device").describe(seconds=0)
    assert kept.device is not None and kept.device.endswith("gathered from all rows there")
    assert kept.device_bytes == ROWS * (12 + 4) + 2 * SIZE * 12
    untold = sequence()
    assert untold.describe(seconds=0).device is None
    assert untold.describe(seconds=0).device_bytes == 0
    assert "device" not in str(untold)
    data = sequence(store="device")
    assert "auto, 2 batches ahead" in str(data)
    next(iter(data))
    assert "auto" not in str(data) and "2 batches ahead, gathered" in str(data)


@pytest.mark.parametrize("there", sorted(THERE))
def test_fits_that_leave_an_epoch_behind_leave_no_threads(there: str) -> None:
    before = set(threading.enumerate())
    data = sequence(inputs=["x"], shuffle="global", **THERE[there])
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    for _ in range(4):
        model.fit(data, validation_data=data, validation_steps=3, epochs=2, steps_per_epoch=5, verbose=0)
        mine = [one for one in {*threading.enumerate()} - before if one.name.startswith("vaxseq-device")]
        assert len(mine) <= 3, "of the last fit's passes at most, two of training on TensorFlow and one of validation"


def test_a_device_that_isn_t_there_can_be_told() -> None:
    data = sequence(device="gpu:31")
    assert "gpu:31, 2 batches ahead" in str(data)
    assert data.describe(seconds=0).device == "gpu:31, 2 batches ahead"


def test_to_print_starts_no_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """JAX's ``distributed.initialize`` comes before all else, and CUDA doesn't outlive a fork."""
    monkeypatch.setattr(device_feed, "placement_of", lambda *_, **__: pytest.fail("asks for devices"))
    for options in ({}, {"device": "cpu:0"}, {"store": "device"}, {"device": None}):
        data = sequence(**options)
        assert "batches" in str(data) + repr(data) + data._repr_html_() + str(data.describe(seconds=0))


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "jax", reason="JAX alone refuses to begin late")
def test_jax_may_be_told_of_its_processes_after_a_print(keras_python: PreparedPython) -> None:
    program = """
import socket
import jax, vaex, vaxseq
for options in ({}, {"device": "cpu:0"}, {"store": "device"}):
    train = vaxseq.Sequence(vaex.from_arrays(x=[1.0, 2.0], y=[1, 2]), inputs=["x"], targets="y", **options)
    print(train, repr(train), train.describe())
with socket.socket() as one:
    one.bind(("localhost", 0))
    port = one.getsockname()[1]
jax.distributed.initialize(f"localhost:{port}", 1, 0)
print(jax.process_count())
"""
    done = keras_python.run(["-c", program])
    assert done.returncode == 0, done.stderr[-4000:]


def test_a_pickle_goes_to_the_same_device() -> None:
    for more in THERE.values():
        data = pickle.loads(pickle.dumps(sequence(shuffle="global", **more)))
        assert is_native(next(iter(data))[0])


@pytest.mark.parametrize("wanted", ["gpuu", "gpu:x", 3, True])
def test_what_can_t_be_a_device_is_refused(wanted: Any) -> None:
    with pytest.raises(OptionError, match="expected 'auto', None, a name as 'gpu:0'"):
        sequence(device=wanted)


def test_a_device_that_isn_t_there_is_refused() -> None:
    data = sequence(device="cpu:7" if BACKEND != "torch" else "cuda:31")
    with pytest.raises(OptionError, match="device: got"):
        next(iter(data))


def test_rows_that_don_t_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAXSEQ_MEMORY", "20kB")
    data = sequence(store="device")
    with pytest.raises(OptionError, match=r"take 1.6e-05 GB, and cpu.* has room for 1e-05 GB, half of what is free"):
        next(iter(data))
    monkeypatch.setattr(resident, "_MOST_ROWS", 999)
    with pytest.raises(OptionError, match="got 1,000 rows, expected 999 at most"):
        next(iter(data))


def test_memory_that_an_array_may_lie_in_is_used_again_once_the_array_is_gone() -> None:
    """On a processor a backend may take NumPy's memory for its array, most of all where a page begins."""
    pool, there = BufferPool(lambda size: [aligned_bytes(size)], 4096, room=1), placement_of("cpu:0")
    assert there is not None

    def put(value: int) -> tuple[int, Any]:
        [memory] = pool.arrays(4096)
        memory[:] = value
        [placed] = there.put(iter([[memory[1024:].view(np.float32)[:512]]]))
        return memory.__array_interface__["data"][0], there.hand(placed)[0]

    address, first = put(1)
    other, second = put(2)
    assert np.asarray(first).tobytes() == b"\1" * 2048
    assert np.asarray(second).tobytes() == b"\2" * 2048
    if BACKEND == "jax":  # the others copy on their way to a device that has a number
        assert other != address
    del first, second
    gc.collect()
    assert put(3)[0] == address


@pytest.mark.skipif(BACKEND != "jax", reason="JAX compiles with donated arguments")
def test_a_step_has_no_use_for_a_donated_batch() -> None:
    """No output has a batch's shape, so Keras's own donation, of the variables, is all that there is to gain."""
    model = keras.Sequential([keras.Input((100,)), keras.layers.Dense(64, "relu"), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    x, y = np.zeros((512, 100), np.float32), np.zeros(512, np.float32)
    model.fit(x, y, batch_size=512, verbose=0)
    variables = model.trainable_variables, model.non_trainable_variables, model.optimizer.variables
    state = tuple([one.value for one in part] for part in (*variables, model.metrics_variables))

    def aliased(*donated: int) -> int:
        step = jax.jit(model.train_step, donate_argnums=donated)
        return int(step.lower(state, (x, y)).compile().memory_analysis().alias_size_in_bytes)

    ours = aliased(0)
    assert ours > 0
    with pytest.warns(UserWarning, match=r"donated buffers were not usable: .*float32\[512,100\]"):
        assert aliased(0, 1) == ours


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_rows_kept_there_are_there_once(keras_python: PreparedPython) -> None:
    program = """
import os, re
import numpy as np
from vaxseq.training.devices import placement_of
there, rows, part = placement_of("cpu:0"), 200_000, np.ones((10_000, 250), np.float32)
there.hold(iter([[part]]), len(part))
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # the peak is that of what comes
before = int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
held = there.hold(([part + number] for number in range(20)), rows)
peak = int(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1]) * 1024 - before
taken = there.hand(there.take(held, [np.array([199_999, 10_000], np.int32)]))
assert np.asarray(taken[0])[:, 3].tolist() == [20.0, 2.0]
assert peak < 1.5 * rows * 250 * 4, peak
"""
    done = keras_python.run(["-c", program])
    assert done.returncode == 0, done.stderr[-4000:]


def test_what_changes_batches_on_the_host_is_refused_with_rows_kept_there() -> None:
    with pytest.raises(OptionError, match="got augment"):
        sequence(store="device", augment=lambda batch, rng: batch)
    with pytest.raises(OptionError, match="got device=None"):
        sequence(store="device", device=None)


@pytest.mark.slow
@pytest.mark.skipif(BACKEND == "torch", reason="PyTorch has a process for each device")
def test_a_batch_goes_to_all_of_its_devices(keras_python: PreparedPython) -> None:
    """In a process that has two devices, which JAX and TensorFlow make of one processor when they're first asked."""
    script = Path(__file__).with_name("divided_training.py")
    done = keras_python.run([script])
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(done.stdout.splitlines()[-1])
    if BACKEND == "jax":
        assert found["devices"] == {"ahead": [2, [32, 32]], "kept": [2, [32, 32]], "sharding": [2, [32, 32]]}
        assert "2 cpu devices, 2 batches ahead" in found["said"]
        assert [same for same, _ in found["moved"]] == [True, True]
        assert len({where for _, where in found["moved"]}) == 2, "rows kept there follow a distribution"
        assert found["weights"]["ahead"] == found["weights"]["host"] == found["weights"]["kept"]
        assert found["bits"]["ahead"] == found["bits"]["host"] == found["bits"]["kept"] == found["bits"]["sharding"]
    else:
        assert found["weights"]["named"] == found["weights"]["host"]
        assert "got a tf.distribute.Strategy" in found["refused"]
