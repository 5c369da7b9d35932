"""What users give by mistake, each with a message that says what to do."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import vaex

from vaxseq import Sequence
from vaxseq.errors import FeatureTypeError, OptionError, SelectionError

pytestmark = pytest.mark.backend


def frame(rows: int = 40):
    row = np.arange(rows)
    return vaex.from_arrays(row=row, y=row % 3, late=(row % 2).astype(np.float32), share=row / rows)


def sequence(**options) -> Sequence:
    return Sequence(frame(), **{"inputs": ["row"], "targets": "y", "batch_size": 8, **options})


def model(**options) -> keras.Model:
    made = keras.Sequential([keras.Input((1,)), keras.layers.Rescaling(0.01), keras.layers.Dense(1)])
    made.compile("sgd", "mse", **options)
    return made


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({0.9: 5}, "got class 0.9, expected a whole number"),
        ({1.0: 5}, "got class 1.0, expected a whole number"),
        ({True: 5}, "got class True"),
        ({0: float("inf")}, "got inf for class 0"),
        ({0: float("nan")}, "got nan for class 0"),
        ({0: -1}, "got -1 for class 0"),
        ({0: "2"}, "got '2' for class 0"),
        ({0: True}, "got True for class 0"),
        ({0: 1, 3: 5}, "class 3 doesn't occur in target 'y', whose classes are 0, 1, 2"),
        ({"a": 1}, "no class 'a'"),
        ({}, "a weight for at least one class"),
        ([1, 2], "a weight for at least one class"),
    ],
)
def test_class_weights_that_cannot_be_are_refused_by_name(weights, message):
    with pytest.raises(OptionError, match=f"class_weight: .*{message}"):
        sequence(class_weight=weights)


def test_class_weights_of_a_target_that_is_no_class_are_refused():
    with pytest.raises(OptionError, match="target 'share' holds 0.025, expected whole class numbers"):
        sequence(targets="share", class_weight={0: 2})
    weights = np.asarray(sequence(targets="late", class_weight={1: 3})[0][2])
    assert weights.tolist() == [1, 3] * 4


def test_class_weights_are_checked_on_the_rows_that_are_served():
    with pytest.raises(OptionError, match="class 2 doesn't occur"):
        sequence(where="y < 2", class_weight={2: 5})


def test_fits_own_class_weight_counts_as_it_does_for_any_dataset():
    class Plain(keras.utils.PyDataset):
        def __len__(self):
            return len(ours)

        def __getitem__(self, index):
            return tuple(np.asarray(part) for part in ours.batch(0, index))

    ours, found = sequence(), []
    for data in (ours, Plain()):
        keras.utils.set_random_seed(0)
        network = model()
        network.fit(data, class_weight={1: 5.0}, shuffle=False, verbose=0)
        found.append([np.asarray(one) for one in network.get_weights()])
    for one, two in zip(*found, strict=True):
        assert np.array_equal(one, two)
    with pytest.raises(OptionError, match="without weights. Give class_weight to the Sequence"):
        model().fit(sequence(sample_weight="share"), class_weight={1: 5.0}, verbose=0)


@pytest.mark.parametrize(("call", "name"), [("fit", "y"), ("fit", "sample_weight"), ("evaluate", "y")])
def test_arguments_that_a_sequence_holds_already_are_refused(call, name):
    with pytest.raises(OptionError, match=rf"{call}\({name}=\): a Sequence's batches hold it already"):
        getattr(model(), call)(sequence(), **{name: np.zeros(40)}, verbose=0)


def test_fit_and_evaluate_without_targets_are_refused_but_predict_is_not():
    data = sequence(targets=None)
    with pytest.raises(OptionError, match="fit: the Sequence has no targets to compute a loss of. Give it targets="):
        model().fit(data, verbose=0)
    with pytest.raises(OptionError, match="evaluate: the Sequence has no targets"):
        model().evaluate(data, verbose=0)
    assert model().predict(data, verbose=0).shape == (40, 1)
    assert model().predict(sequence(targets=None, sample_weight="share"), verbose=0).shape == (40, 1)


def test_a_model_with_a_loss_of_its_own_needs_no_targets():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1)

        def call(self, x):
            out = self.dense(x / 40)
            self.add_loss(keras.ops.mean(out**2))
            return out

    network = Own()
    network.compile("sgd")
    assert len(network.fit(sequence(targets=None), verbose=0).history["loss"]) == 1


def test_complex_columns_and_empty_frames_are_refused_by_name():
    with pytest.raises(FeatureTypeError, match="column 'c': got complex64, expected real numbers"):
        Sequence(vaex.from_arrays(c=np.ones(4, np.complex64)), inputs=["c"])
    with pytest.raises(SelectionError, match="the frame is empty; got 0 rows"):
        Sequence(vaex.from_arrays(x=np.zeros(0)), inputs=["x"])


def test_a_batch_beyond_the_memory_is_refused_before_it_is_made():
    with pytest.raises(OptionError, match="batch_size: a batch of 10,000,000,000 rows takes .* GB, and memory"):
        sequence(batch_size=10**10, pad=True)
    assert len(sequence(batch_size=10**12)) == 1  # of the rows that there are


def test_padding_counts_in_no_metric_and_no_prediction():
    found = []
    for pad in (False, True):
        keras.utils.set_random_seed(0)
        network = model(metrics=["mae"])
        data = sequence(batch_size=16, pad=pad)
        found.append(network.evaluate(data, verbose=0, return_dict=True))
        assert network.predict(data, verbose=0).shape == (40, 1)
    assert found[0] == pytest.approx(found[1])


@pytest.mark.parametrize("pad", [False, True])
def test_predictions_join_back_by_the_pass_that_made_them(pad):
    data = sequence(shuffle="global", batch_size=16, pad=pad, targets="row")
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="ones")])
    network.compile("sgd", "mse")
    own = [network.predict_on_batch(np.asarray(data[i][0])) for i in range(len(data))]
    joined(data, np.concatenate(own))
    for i in range(len(data)):
        data[i]
    with pytest.raises(OptionError, match="the predictions' epoch isn't clear: it can be any of"):
        data.attach(np.concatenate(own), "p")
    joined(data, np.concatenate(own), epoch=0)
    predicted = network.predict(data, verbose=0)
    joined(data, predicted)
    network.evaluate(data, verbose=0)
    data[0]
    next(iter(data))
    joined(data, predicted)
    for _ in data:
        pass
    with pytest.raises(OptionError, match="the predictions' epoch isn't clear"):
        data.attach(predicted, "p")
    joined(data, predicted, epoch=0)
    with pytest.raises(OptionError, match="got 39 predictions, expected 40"):
        data.attach(predicted[:39], "p", epoch=0)


def joined(data, predictions, **options):
    frame = data.attach(predictions, "p", **options)
    assert np.allclose(frame.evaluate("p").astype(float), frame.evaluate("row"))


def test_predictions_of_nothing_that_was_read_are_refused():
    with pytest.raises(OptionError, match="none was read to its end"):
        sequence(shuffle="global").attach(np.zeros(40), "p")
    assert sequence().attach(np.arange(40), "p").evaluate("p").tolist() == list(range(40))
