"""Profile: the verdict on datasets whose trouble was planted, the model left as it was, and how it shows itself."""

from __future__ import annotations

import json
import random
import re
import time
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pyarrow as pa
import pyarrow.feather
import pytest
import vaex
from augmentations import augmented_rows, jittered
from prepared import PreparedPython

import vaxseq
from vaxseq.errors import OptionError
from vaxseq.frame import Source
from vaxseq.profile import profiling
from vaxseq.profile.advice import Accelerator, Bigger, Facts, advise
from vaxseq.profile.files import packed_files
from vaxseq.profile.measurement import Stage
from vaxseq.profile.profiling import _Under, _waiting
from vaxseq.training import devices, timed_fit
from vaxseq.training.timed_fit import Steps

ROWS = 61_440  # whole batches of 512, 1,024 and 2,048: a smaller one at the end has a program compiled
SECONDS = 1.0


def table(rows: int = ROWS) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    columns: dict[str, Any] = {f"x{i}": rng.normal(size=rows).astype(np.float32) for i in range(8)}
    columns["y"] = rng.integers(0, 2, rows)
    return columns


def arrow_file(path: Path, compression: str = "uncompressed", **more: Any) -> str:
    pyarrow.feather.write_feather(pa.table(table() | more), str(path), compression=compression)
    return str(path)


def small_model(width: int = 8, layers: int = 0) -> keras.Model:
    keras.utils.set_random_seed(0)
    hidden = [keras.layers.Dense(layers * 256, "relu") for _ in range(layers)]
    model = keras.Sequential([keras.Input((width,)), *hidden, keras.layers.Dense(1)])
    model.compile("adam", "mse")
    return model


X = [f"x{i}" for i in range(8)]


class Plain(keras.utils.PyDataset):
    """Somebody's dataset over arrays in memory."""

    def __init__(self, batch_size: int = 512, **options: Any) -> None:
        super().__init__(**options)
        columns = table()
        self.x, self.y = np.stack([columns[name] for name in X], axis=1), columns["y"]
        self.batch_size = batch_size

    def __len__(self) -> int:
        return len(self.y) // self.batch_size

    def __getitem__(self, index: int) -> Any:
        rows = slice(index * self.batch_size, (index + 1) * self.batch_size)
        return self.x[rows].copy(), self.y[rows].copy()


class SlowAugment(Plain):
    def __getitem__(self, index: int) -> Any:
        x, y = super().__getitem__(index)
        return np.stack([self.jitter(row) for row in x]), y

    def jitter(self, row: np.ndarray) -> np.ndarray:
        for _ in range(5):  # far slower than a step, also where all else is slow
            noise = np.random.default_rng(len(row)).normal(0, 0.1, row.shape)
        return row + noise.astype(row.dtype)


class FarAway(Plain):
    def __getitem__(self, index: int) -> Any:
        x, y = super().__getitem__(index)
        time.sleep(0.02)
        return x, y


class Compressed(keras.utils.PyDataset):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.file = h5py.File(path)

    def __len__(self) -> int:
        return ROWS // 512

    def __getitem__(self, index: int) -> Any:
        rows = slice(index * 512, (index + 1) * 512)
        return self.file["x"][rows], self.file["y"][rows]


class Pooled(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.pool = get_context("spawn").Pool(1)

    def __getitem__(self, index: int) -> Any:
        x, y = super().__getitem__(index)
        return np.concatenate(self.pool.map(augmented_rows, np.array_split(x, 4))), y


def gzip_file(path: Path) -> Path:
    columns = table()
    with h5py.File(path, "w") as file:
        x = np.round(np.stack([columns[name] for name in X], axis=1) * 50) / 50
        file.create_dataset("x", data=x, compression="gzip", chunks=(8192, 8))
        file.create_dataset("y", data=columns["y"], compression="gzip", chunks=(8192,))
    return path


# --- the six planted cases, ours and others'


@pytest.mark.slow
def test_slow_column(tmp_path: Path) -> None:
    path = arrow_file(tmp_path / "rows.arrow")
    costly = " + ".join(f"sin(x{i % 8} * {i}) ** 2" for i in range(30))
    definition = vaxseq.FeatureSet.from_dict({
        "version": 1,
        "inputs": {"numeric": {"dtype": "float32", "features": [
            {"columns": ["x0", "x1", "x2"], "steps": ["standardize"]},
            {"name": "costly", "expr": costly, "steps": ["standardize"]},
        ]}},
        "targets": {"y": {"column": "y"}},
    })  # fmt: skip
    frame = vaxseq.open(path)
    sequence = vaxseq.Sequence(frame, definition.fit(frame, progress=False), batch_size=2048, shuffle="global")
    found = vaxseq.profile(sequence, seconds=SECONDS, shuffle=False)
    assert found.verdict == "feature", found
    assert re.match(r"Feature 'costly' \d+% of the time: compute it once with vaxseq", found.advice[0].text)
    slowest = max((stage for stage in found.stages if stage.kind != "tensors"), key=lambda stage: stage.seconds)
    assert (slowest.kind, slowest.name) == ("feature", "costly")


@pytest.mark.slow
def test_slow_virtual_column_of_the_frame(tmp_path: Path) -> None:
    frame = vaxseq.open(arrow_file(tmp_path / "rows.arrow"))
    frame["costly"] = " + ".join(f"sin(x{i % 8} * {i}) ** 2" for i in range(30))
    sequence = vaxseq.Sequence(frame, inputs=[*X, "costly"], targets="y", batch_size=2048)
    found = vaxseq.profile(sequence, seconds=SECONDS, shuffle=False)
    assert found.verdict == "feature", found
    assert "irtual column 'costly'" in found.advice[0].text


@pytest.mark.slow
def test_compressed_file_ours(tmp_path: Path) -> None:
    columns = table()
    path = tmp_path / "rows.parquet"
    pa.parquet.write_table(pa.table(columns), path, compression="gzip", row_group_size=8192)
    sequence = vaxseq.Sequence(str(path), inputs=X, targets="y", batch_size=1024)
    found = vaxseq.profile(sequence, seconds=SECONDS, shuffle=False)
    assert found.verdict == "compressed", found
    assert "rows.parquet is Parquet, which is compressed and is not mapped" in found.advice[0].text
    assert "vaxseq convert" in found.advice[0].text


def test_compressed_file_of_somebody_else(tmp_path: Path) -> None:
    found = vaxseq.profile(Compressed(gzip_file(tmp_path / "rows.h5")), seconds=SECONDS)
    assert found.verdict == "compressed", found
    assert re.search(r"rows.h5 \(/x\) is gzip-compressed in chunks of 8192×8", found.advice[0].text)


@pytest.mark.slow
def test_a_compressed_file_held_in_memory_is_told_even_if_it_costs_no_time(tmp_path: Path) -> None:
    path = arrow_file(tmp_path / "rows.arrow", compression="lz4")
    found = vaxseq.profile(vaxseq.Sequence(path, inputs=X, targets="y"), seconds=SECONDS)
    (note,) = [one for one in found.advice if one.verdict == "compressed"]
    assert "is compressed (lz4 or zstd) and is not mapped: its columns are held in memory" in note.text


@pytest.mark.backend
def test_slow_augment() -> None:
    found = vaxseq.profile(SlowAugment(), small_model(), seconds=SECONDS)
    assert found.verdict == "code", found
    assert re.match(r"`SlowAugment.jitter at test_profile.py:\d+` takes \d+% of a batch", found.advice[0].text)
    assert found.waiting is not None
    assert found.waiting > 0.5
    assert found.advice[0].gain > 1.5


@pytest.mark.slow
def test_slow_augment_ours() -> None:
    frame = vaex.from_arrays(**table())
    sequence = vaxseq.Sequence(frame, inputs=X, targets="y", batch_size=512, augment=jittered)
    found = vaxseq.profile(sequence, seconds=SECONDS, shuffle=False)
    assert found.verdict == "augment", found
    assert re.match(r"Augmentation takes \d+% of the time", found.advice[0].text)


@pytest.mark.slow
def test_slow_augment_in_processes() -> None:
    frame = vaex.from_arrays(**table())
    sequence = vaxseq.Sequence(frame, inputs=X, targets="y", batch_size=512, augment=jittered, augment_workers=1)
    found = vaxseq.profile(sequence, seconds=SECONDS, shuffle=False)
    assert found.verdict == "augment", found  # not "storage", though the thread waits
    assert "It runs in processes as it is" in found.advice[0].text


@pytest.mark.backend
def test_slow_model() -> None:
    model = small_model(layers=4)
    for dataset in (Plain(), vaxseq.Sequence(vaex.from_arrays(**table()), inputs=X, targets="y", batch_size=512)):
        found = vaxseq.profile(dataset, model, seconds=0.5)
        assert found.verdict == "model", found
        assert re.match(r"The model is the bottleneck: the loader could feed [\d.]+× more", found.advice[0].text)
        assert found.step_s is not None
        assert found.step_s > 5 * found.loader_s


@pytest.mark.backend
def test_tiny_batches() -> None:
    sequence = vaxseq.Sequence(vaex.from_arrays(**table()), inputs=X, targets="y", batch_size=8, shuffle="global")
    model = small_model()
    for dataset in (sequence, Plain(batch_size=8)):
        found = vaxseq.profile(dataset, model, seconds=SECONDS)
        assert found.verdict == "batch_size", found
        assert "Batches of 8 rows are small" in found.advice[0].text
        assert "batch_size=64" in found.advice[0].text


@pytest.mark.slow
def test_slow_disk_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    read = Source.read

    def far_away(self: Source, names: Any, start: int, stop: int) -> Any:
        if stop > start:
            time.sleep(0.03)
        return read(self, names, start, stop)

    monkeypatch.setattr(Source, "read", far_away)
    sequence = vaxseq.Sequence(arrow_file(tmp_path / "rows.arrow"), inputs=X, targets="y", batch_size=1024)
    found = vaxseq.profile(sequence, seconds=SECONDS, shuffle=False)
    assert found.verdict == "storage", found
    assert re.match(r"\d+% of a batch's time is waiting for storage", found.advice[0].text)


def test_slow_disk_of_somebody_else() -> None:
    found = vaxseq.profile(FarAway(), seconds=SECONDS)
    assert found.verdict == "storage", found
    assert found.loader_waited_s > 0.015


def test_a_process_pool_in_getitem() -> None:
    dataset = Pooled()
    try:
        found = vaxseq.profile(dataset, seconds=SECONDS)
    finally:
        dataset.pool.terminate()
        dataset.pool.join()
    assert found.verdict == "processes", found
    assert "waits for other processes" in found.advice[0].text


_COLD = """
import numpy as np, vaex, vaxseq
frame = vaex.from_arrays(x=np.zeros(60_000, np.float32), y=np.zeros(60_000, np.int64))
found = vaxseq.profile(vaxseq.Sequence(frame, inputs=["x"], targets="y"), seconds=1, shuffle=False)
print(next(stage.seconds for stage in found.stages if stage.kind == "tensors"))
"""


@pytest.mark.backend
@pytest.mark.slow
def test_the_start_of_the_backend_is_not_the_datas(keras_python: PreparedPython) -> None:
    done = keras_python.run(["-c", _COLD], check=True)
    assert float(done.stdout.split()[-1]) < 0.01  # what is compiled for a shape takes 50 times as long


# --- what it leaves behind


def chancy_model() -> keras.Model:
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(8), keras.layers.BatchNormalization(), keras.layers.Dropout(0.5, seed=1)]
    model = keras.Sequential([keras.Input((8,)), *layers, keras.layers.Dense(1)])
    model.compile("adam", "mse", metrics=["mae"])
    return model


def state_of(model: keras.Model) -> list[np.ndarray]:
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    return [np.array(keras.ops.convert_to_numpy(one.value)) for one in variables]


@pytest.mark.backend
def test_the_model_is_as_before() -> None:
    model = chancy_model()
    sequence = vaxseq.Sequence(vaex.from_arrays(**table(4096)), inputs=X, targets="y", batch_size=512)
    history = model.fit(sequence, verbose=0)
    before, function = state_of(model), model.train_function
    keras.random.normal((1,))  # from here on Keras has a seed of its own
    seed = keras.src.random.seed_generator.global_seed_generator().state

    def chance() -> str:
        numpy = np.random.get_state()  # noqa: NPY002
        return str([random.getstate(), numpy, np.array(keras.ops.convert_to_numpy(seed.value))])

    drawn = chance()
    vaxseq.profile(sequence, model, seconds=0.3)
    assert chance() == drawn
    for value, now in zip(before, state_of(model), strict=True):
        np.testing.assert_array_equal(value, now)
    assert model.history is history and not model.stop_training and model.train_function is function


@pytest.mark.backend
def test_training_after_a_profile_is_the_training_without_it() -> None:
    trained = []
    for looked in (False, True):
        model = chancy_model()
        sequence = vaxseq.Sequence(vaex.from_arrays(**table(4096)), inputs=X, targets="y", batch_size=512)
        if looked:
            vaxseq.profile(sequence, model, seconds=0.5)
            assert getattr(model, "history", None) is None and model.train_function is None
        # in order: how often a first fit permutes batches depends on whether the model's metrics are built
        history = model.fit(sequence, epochs=2, verbose=0, shuffle=False)
        trained.append((state_of(model), history.history))
    assert trained[0][1] == trained[1][1]
    for one, other in zip(trained[0][0], trained[1][0], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.backend
def test_a_model_that_is_not_built_yet() -> None:
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    found = vaxseq.profile(Plain(), model, seconds=0.5)
    assert found.fit_s is not None


def test_the_sequence_is_as_before() -> None:
    sequence = vaxseq.Sequence(vaex.from_arrays(**table(4096)), inputs=X, targets="y", batch_size=512, shuffle="global")
    before = np.asarray(sequence[1][0])
    epoch = sequence.epoch
    vaxseq.profile(sequence, seconds=0.3)
    assert sequence.epoch == epoch
    np.testing.assert_array_equal(before, np.asarray(sequence.batch(epoch, 1)[0]))


def test_a_store_has_one_stage(tmp_path: Path) -> None:
    frame = vaex.from_arrays(**table(8192))
    sequence = vaxseq.Sequence(frame, inputs=X, targets="y", batch_size=1024, store=tmp_path / "store.h5")
    found = vaxseq.profile(sequence, seconds=0.3)
    assert {stage.kind for stage in found.stages} == {"store", "order", "batch", "tensors"}


# --- how it shows itself


@pytest.mark.slow
def test_it_prints_displays_and_is_json() -> None:
    sequence = vaxseq.Sequence(vaex.from_arrays(**table(4096)), inputs=X, targets="y", batch_size=512)
    found = vaxseq.profile(sequence, small_model(), seconds=0.5)
    text = repr(found)
    assert "Sequence: 8 batches of 512 rows, 18.4 kB each" in text
    assert "of it waiting for data" in " ".join(text.split())  # wherever the line breaks
    assert found.advice[0].text.split(":")[0] in " ".join(text.split())
    html = found._repr_html_()
    assert html.count("<table") == 1
    assert "training step" in html
    plain = json.loads(found.to_json())
    assert plain["verdict"] == found.verdict
    assert plain["stages"][0].keys() == {"kind", "name", "seconds", "waited_s", "doing"}


@pytest.mark.parametrize(
    ("dataset", "options", "message"),
    [
        (partial(list, [1, 2]), {}, "profile: got list, expected a vaxseq.Sequence or another keras.utils.PyDataset"),
        (Plain, {"seconds": 0}, "seconds: got 0, expected a number above 0"),
        (partial(Plain, batch_size=ROWS + 1), {}, "profile: Plain has 0 batches"),
        (Plain, {"model": keras.Sequential([keras.layers.Dense(1)])}, "isn't compiled"),
        (Plain, {"model": 3}, "model: got int, expected a compiled Keras model"),
    ],
)
def test_refusals(dataset: Any, options: dict[str, Any], message: str) -> None:
    data = dataset()
    with pytest.raises(OptionError, match=message):
        vaxseq.profile(data, **{"seconds": 0.2, **options})


# --- the advice, from plain figures


def facts(**changes: Any) -> Facts:
    usual: dict[str, Any] = {
        "ours": True, "stored": False, "batch_rows": 1024, "loader_s": 1e-3, "loader_waited_s": 0.0, "step_s": None,
        "fit_s": None, "waiting": None, "stages": (Stage("column", "x", 5e-4, 0.0), Stage("feature", "f", 5e-4, 0.0)),
        "packed": (), "held": False, "bigger": None, "in_order_s": None, "children_s": 0.0,
    }  # fmt: skip
    return Facts(**(usual | changes))


def test_advice_is_in_order_of_gain() -> None:
    stages = (Stage("column", "x", 5e-4, 0.0), Stage("feature", "f", 2e-4, 0.0), Stage("feature", "g", 3e-4, 0.0))
    found = advise(facts(stages=stages, packed=("a.parquet is Parquet",), in_order_s=2e-4))
    assert [one.verdict for one in found] == ["order", "compressed", "feature"]
    assert found[0].gain == pytest.approx(5)
    assert "feature 'g' 30% and feature 'f' 20%" in found[2].text.lower()


def test_a_step_read_for_by_another_thread_waits_no_longer_than_a_batch_takes_to_load() -> None:
    under = _Under(Steps(10, 1.43, None), Steps(10, 1.57, None))
    assert _waiting(under, 7.6e-6) == pytest.approx(7.6e-6 / 0.157)  # two fits of a slow model differ as they like
    assert _waiting(under, 0.1) == pytest.approx(1 - 1.43 / 1.57)
    assert _waiting(_Under(Steps(10, 1.5, None), Steps(10, 1.4, None)), 0.1) == 0
    assert _waiting(_Under(Steps(10, 1.0, 0.0), Steps(10, 2.0, 0.5)), 1e-6) == 0.25


def test_a_gain_is_no_more_than_the_model_can_take() -> None:
    (first, *_) = advise(facts(step_s=8e-4, fit_s=1e-3, waiting=0.2))
    assert (first.verdict, first.gain) == ("feature", pytest.approx(1.25))


def test_a_model_that_does_not_wait_is_the_verdict() -> None:
    (only,) = advise(facts(step_s=41e-3, fit_s=41e-3, waiting=0.001))
    assert only.text.startswith("The model is the bottleneck: the loader could feed 41× more.")


def test_bigger_batches_come_before_the_model() -> None:
    found = advise(
        facts(batch_rows=16, loader_s=1e-5, step_s=1e-3, fit_s=1e-3, waiting=0.01, bigger=Bigger(128, 5e-5, 1.1e-3))
    )
    assert [one.verdict for one in found] == ["batch_size", "model"]
    assert found[0].gain == pytest.approx(8 / 1.1)


COPIED: dict[str, Any] = {
    "stages": (Stage("column", "x", 1e-4, 0.0), Stage("tensors", "", 6e-4, 0.0)), "loader_s": 1e-4, "step_s": 1e-3,
    "fit_s": 1e-3, "waiting": 0.01,
}  # fmt: skip


@pytest.mark.parametrize(
    ("ours", "on", "gain", "said", "unsaid"),
    [
        (True, Accelerator("gpu:0", ahead=True, fits=True), 2.5, 'store="device"', 'device="auto"'),
        (True, Accelerator("gpu:0", fits=True), 2.5, 'store="device".*device="auto"', "Sequence"),
        (True, Accelerator("gpu:0"), 1 / 0.6, 'device="auto"', 'store="device"'),
        (True, Accelerator("gpu:0", ahead=True), 1.5, "float16", 'device="auto"'),
        (False, Accelerator("gpu:0"), 1 / 0.6, r'Sequence.*device="auto".*store="device"', "float32"),
    ],
)
def test_copies_to_a_device_name_what_does_without_them(ours, on, gain, said, unsaid) -> None:
    first = next(one for one in advise(facts(**COPIED, ours=ours, accelerator=on)) if one.verdict == "device")
    assert first.gain == pytest.approx(gain)
    assert re.search(f"Copying a batch to gpu:0 takes 60% of a step.*{said}", first.text)
    assert not re.search(unsaid, first.text)


def test_copies_come_before_a_model_that_is_the_bottleneck_but_for_them() -> None:
    on = Accelerator("gpu:0", ahead=True, fits=True)
    assert [one.verdict for one in advise(facts(**COPIED, accelerator=on))] == ["device", "model"]
    few = {**COPIED, "stages": (COPIED["stages"][0], Stage("tensors", "", 1e-4, 0.0))}
    assert [one.verdict for one in advise(facts(**few, accelerator=on))] == ["model"]
    kept = Accelerator("gpu:0", ahead=True, kept=True, fits=True)
    assert [one.verdict for one in advise(facts(**COPIED, accelerator=kept))] == ["model"]


@pytest.mark.parametrize("options", [{}, {"device": None}, {"store": "device"}], ids=str)
def test_a_slow_copy_to_a_device_is_found(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The processor stands for a device; what is slow is what a step of training does first."""
    here = devices.placement_of("cpu:0")
    monkeypatch.setattr(timed_fit, "placement_of", lambda device: here)
    train = vaxseq.Sequence(vaex.from_arrays(**table(4000)), inputs=X, targets="y", batch_size=1000, **options)
    facts, _ = profiling._sequence(train, small_model(), 0.05)
    assert facts.accelerator is not None
    assert facts.accelerator.name == here.name
    slow = replace(facts, stages=(Stage("tensors", "", 0.9 * facts.fit_s, 0.0),))
    told = [one.text for one in advise(slow) if one.verdict == "device"]
    assert [('store="device"' in one, 'device="auto"' in one) for one in told] == {
        "{}": [(True, False)], "{'device': None}": [(True, True)], "{'store': 'device'}": [],
    }[str(options)]  # fmt: skip


def test_nothing_stands_out() -> None:
    stages = tuple(Stage("column", f"x{i}", 1e-4, 0.0) for i in range(10))
    (only,) = advise(facts(stages=stages))
    assert only.verdict == "loader"


def test_packed_files(tmp_path: Path) -> None:
    mapped = arrow_file(tmp_path / "plain.arrow")
    squeezed = arrow_file(tmp_path / "small.arrow", compression="zstd")
    columns = vaex.from_arrays(**table(100))
    columns.export_hdf5(str(tmp_path / "plain.hdf5"))
    gzipped = gzip_file(tmp_path / "rows.h5")
    found = packed_files([mapped, squeezed, str(tmp_path / "plain.hdf5"), str(gzipped)])
    assert {Path(one.path).name for one in found} == {"small.arrow", "rows.h5"}


def test_the_verb(samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from vaxseq.cli import main

    data, state = tmp_path / "digits.arrow", tmp_path / "fitted.json"
    vaxseq.convert(samples / "digits.parquet", data, progress=False)
    frame = vaxseq.open(data)
    vaxseq.FeatureSet.load(samples / "digits.features.yaml").fit(frame, progress=False).save(state)

    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as done:
            main(["profile", str(state), str(data), "--seconds", "0.3", *arguments])
        assert not done.value.code
        return capsys.readouterr().out

    assert "where a batch's time goes" in run("--batch-size", "256")
    found = json.loads(run("--json", "--batch-size", "256", "--shuffle", "global"))
    assert (found["dataset"], found["batch_rows"]) == ("Sequence", 256)


def test_a_copy_is_over_when_its_clock_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """JAX hands out arrays that are still on their way."""
    arrived = []

    class OnItsWay:
        def block_until_ready(self) -> None:
            arrived.append(self)

    monkeypatch.setattr(timed_fit.keras.ops, "convert_to_tensor", lambda array: OnItsWay())
    timed_fit.to_tensors(({"x": np.zeros(3), "z": np.zeros(2)}, np.zeros(1), None))
    assert len(arrived) == 3


def test_the_copy_is_told_as_a_part_of_the_step() -> None:
    train = vaxseq.Sequence(vaex.from_arrays(**table(4000)), inputs=X, targets="y", batch_size=500)
    found = vaxseq.profile(train, small_model(), seconds=0.6)
    assert 0 < found.copying_s == found.to_dict()["copying_s"]
    assert "copying: " in str(found)
    assert "until a batch is tensors on the device" in str(found)
