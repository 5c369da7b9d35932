"""What we rely on of Keras's insides, each thing by a test of its own: a newer Keras tells here what it moved."""

from __future__ import annotations

import inspect

import keras
import numpy as np
import pytest
import vaex
from keras.src.trainers import data_adapters
from keras.src.trainers.data_adapters.data_adapter import DataAdapter
from keras.src.trainers.epoch_iterator import EpochIterator

from vaxseq.errors import OptionError
from vaxseq.training import keras_internals
from vaxseq.training.sequence import Sequence

pytestmark = pytest.mark.backend
BACKEND = keras.backend.backend()
ASKED = {"jax": "get_jax_iterator", "torch": "get_torch_dataloader", "tensorflow": "get_tf_dataset"}[BACKEND]


class Watched(Sequence):
    """Notes what Keras asks for, in order."""

    def __init__(self, *args, **options):
        self.asked: list[str] = []
        super().__init__(*args, **options)

    def on_epoch_begin(self):
        asked = keras_internals._asked(self)
        self.asked.append(f"begin {asked.purpose if asked else None}")
        self.seen = asked
        super().on_epoch_begin()

    def on_epoch_end(self):
        self.asked.append("end")
        super().on_epoch_end()


def note(name):
    def get(self, **options):
        self.asked.append(name)
        return getattr(super(Watched, self), name)(**options)

    return get


for _name in ("get_jax_iterator", "get_torch_dataloader", "get_tf_dataset"):
    setattr(Watched, _name, note(_name))


def data(**options) -> Watched:
    frame = vaex.from_arrays(x=np.arange(24.0), y=np.arange(24.0))
    return Watched(frame, **{"inputs": ["x"], "targets": "y", "batch_size": 8, **options})


def model(built: bool = True) -> keras.Model:
    made = keras.Sequential([*([keras.Input((1,))] if built else []), keras.layers.Dense(1)])
    made.compile("sgd", "mse")
    return made


def test_an_object_that_is_its_own_adapter_is_taken_as_it_is():
    one = data()
    assert isinstance(one, keras.utils.PyDataset)
    assert data_adapters.get_data_adapter(one) is one, "Keras moved: get_data_adapter returns a DataAdapter unchanged"


def test_a_data_adapter_has_these_methods_and_no_others():
    named = {name for name in vars(DataAdapter) if not name.startswith("_")}
    newer = {"get_native_iterator"}  # of Keras 3.16: get_numpy_iterator, unless it is overridden
    assert named - newer == {
        "get_numpy_iterator", "get_tf_dataset", "get_jax_iterator", "get_torch_dataloader", "num_batches",
        "batch_size", "has_partial_batch", "partial_batch_size", "on_epoch_begin", "on_epoch_end",
    }, "Keras moved: DataAdapter has other methods"  # fmt: skip
    one = data(batch_size=9)
    assert (one.num_batches, one.batch_size, one.has_partial_batch, one.partial_batch_size) == (3, 9, True, 6)
    assert (data().has_partial_batch, data().partial_batch_size) == (False, None)


def test_a_pass_begins_with_on_epoch_begin_and_its_batches_are_asked_for():
    one = data()
    model().fit(one, epochs=2, verbose=0)
    begins = [place for place, what in enumerate(one.asked) if what == "begin fit"]
    assert len(begins) == 2, "Keras moved: on_epoch_begin isn't called once for each epoch of fit"
    if BACKEND == "tensorflow":
        assert one.asked.count(ASKED) == 1, "Keras moved: fit doesn't ask for one tf.data.Dataset"
        assert one.asked.index(ASKED) < begins[0], "Keras moved: the dataset is asked for after the first epoch begins"
    else:
        after = [one.asked[place + 1] for place in begins]
        assert after == [ASKED] * 2, "Keras moved: the batches aren't asked for right after on_epoch_begin"


@pytest.mark.skipif(BACKEND == "tensorflow", reason="TensorFlow builds in the first step")
def test_a_look_at_shapes_is_made_in_symbolic_build():
    one = data()
    model(built=False).fit(one, verbose=0)
    looked = ("begin look", ASKED)  # Keras 3.16 on JAX asks the adapter without a beginning
    assert one.asked[0] in looked, "Keras moved: _symbolic_build doesn't read a first batch"
    assert one.epoch == 0, "Keras moved: what looks at shapes isn't _symbolic_build or _maybe_symbolic_build"
    assert "begin fit" in one.asked


@pytest.mark.parametrize("call", ["fit", "evaluate", "predict"])
def test_a_call_is_found_by_its_name_in_a_module_of_keras(call):
    one = data()
    getattr(model(), call)(one, verbose=0)
    assert f"begin {call}" in one.asked, f"Keras moved: {call}'s frame isn't above on_epoch_begin"


def test_validation_is_known_from_the_fit_around_it():
    train, validation = data(), data()
    model().fit(train, validation_data=validation, epochs=2, verbose=0)
    made = [what for what in validation.asked if what.startswith("begin") and what != "begin look"]
    assert made == ["begin evaluate"] * 2, "Keras moved: validation isn't an evaluate inside fit"


def test_the_arguments_of_fit_are_variables_of_its_frame():
    one = data()
    network, found = model(), {}
    begin = one.on_epoch_begin

    def on_epoch_begin():
        begin()
        if one.seen.purpose == "fit":
            for name in ("self", "epoch", "initial_epoch", "y", "sample_weight", "class_weight", "shuffle"):
                found[name] = one.seen.argument(name)

    one.on_epoch_begin = on_epoch_begin
    network.fit(one, epochs=6, initial_epoch=5, class_weight={0: 2.0}, shuffle=False, verbose=0)
    expected = {
        "self": network, "epoch": 5, "initial_epoch": 5, "y": None, "sample_weight": None, "class_weight": {0: 2.0},
        "shuffle": False,
    }  # fmt: skip
    assert found == expected, "Keras moved: fit names its variables otherwise"


def test_an_epoch_iterator_tells_and_takes_these_things():
    iterator = EpochIterator(data())
    for name in ("data_adapter", "steps_per_epoch", "_current_iterator", "_steps_seen", "_num_batches"):
        assert hasattr(iterator, name), f"Keras moved: EpochIterator.{name}"
    keras_internals.expect(iterator, 2)
    assert iterator.num_batches == 2, "Keras moved: EpochIterator._num_batches isn't the number of batches"
    assert sum(1 for _ in iterator._enumerate_iterator()) == 3, "Keras moved: an epoch doesn't begin by on_epoch_begin"


def test_steps_are_counted_as_they_are_handed_out():
    one, counted = data(), []

    class Count(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            counted.append(keras_internals.steps_taken(keras_internals.running_call(one)))

    model().fit(one, verbose=0, callbacks=[Count()])
    assert counted == [1, 2, 3], "Keras moved: EpochIterator._steps_seen, or fit's variable epoch_iterator"


@pytest.mark.skipif(BACKEND == "torch", reason="PyTorch makes one step at a time")
def test_several_steps_in_one_execution_train_the_same():
    made = []
    for steps in (1, 2):  # of three batches: Keras 3.16 stacks two of them
        one = model()
        one.set_weights([np.ones((1, 1)), np.zeros(1)])
        one.compile(keras.optimizers.SGD(1e-4), "mse", steps_per_execution=steps)
        one.fit(data(), epochs=2, verbose=0)
        made.append(np.concatenate([part.ravel() for part in one.get_weights()]))
    np.testing.assert_allclose(made[0], made[1], rtol=1e-6)


def test_on_epoch_end_is_called_by_the_epoch_iterator():
    one = data(shuffle="global")
    model().fit(one, epochs=2, verbose=0)
    assert one.asked.count("end") >= 2
    assert one.epoch == 1, "Keras moved: on_epoch_end is called from elsewhere"


def test_a_running_fit_is_found_from_any_thread():
    one, found = data(), []

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            run = keras_internals.run_of(keras_internals.running_call(one), dict)
            found.append(keras_internals.is_running(run))
            self.run = run

    look = Look()
    model().fit(one, verbose=0, callbacks=[look])
    assert found == [True] * 3
    assert not keras_internals.is_running(look.run)


def test_keras_s_own_step_is_known_from_another():
    class Own(keras.Model):
        def train_step(self, *arguments):
            return super().train_step(*arguments)

    own = Own()
    own.compile("sgd", "mse")
    assert keras_internals.has_default_step(model()), "Keras moved: Model._compile_loss, or where train_step is defined"
    assert not keras_internals.has_default_step(own)
    assert not keras_internals.has_default_step(keras.Sequential([keras.layers.Dense(1)]))


def test_keras_shares_out_batches_over_processes_unless_told_not_to(monkeypatch):
    names = {"_is_multi_process", "auto_shard_dataset"}
    source = inspect.getsource(data_adapters.get_data_adapter)
    assert all(name in source for name in names), "Keras moved: get_data_adapter's check of the distribution"

    class Distribution:
        _is_multi_process = auto_shard_dataset = True

    monkeypatch.setattr(keras.distribution, "distribution", Distribution)
    with pytest.raises(OptionError, match="auto_shard_dataset=False"):
        keras_internals.refuse_auto_sharding()


def test_keras_s_own_seed_is_kept_and_put_back():
    keras.utils.set_random_seed(1)
    keras.random.uniform((2,))
    put_back = keras_internals.keep_global_seed()
    one = keras.ops.convert_to_numpy(keras.random.uniform((2,)))
    put_back()
    two = keras.ops.convert_to_numpy(keras.random.uniform((2,)))
    assert np.array_equal(one, two), "Keras moved: the global seed generator"


def test_class_weights_are_keras_s_own():
    found = keras_internals.weights_of_classes(np.array([0, 1, 2, 1]), {1: 3.0})
    assert found.tolist() == [1, 3, 1, 3], "Keras moved: class_weight_to_sample_weights"


@pytest.mark.skipif(BACKEND != "torch", reason="torch's alone")
def test_torch_s_device_is_asked_for():
    import torch

    wanted = "cuda" if torch.cuda.is_available() else "cpu"
    assert keras.ops.zeros(()).device.type == wanted, "Keras moved: a new tensor isn't on the device that it works on"
    with keras.device("cpu"):
        assert keras.ops.zeros(()).device.type == "cpu", "Keras moved: keras.device doesn't say where new tensors go"
