"""Keras's own tests of PyDataset, with our Sequence in the place of their example class."""

from __future__ import annotations

import importlib
import unittest
import warnings

import keras
import numpy as np
import pytest
import vaex

from vaxseq.training.sequence import Sequence

MODULE = "keras.src.trainers.data_adapters.py_dataset_adapter_test"


def from_arrays(x, y, sample_weight=None, batch_size=32, delay=0, infinite=False, **options):
    """Their example's constructor, for a Sequence over the same arrays."""
    if infinite:
        raise unittest.SkipTest("ours: a Sequence has a last batch: its epochs are exact")
    if options.get("workers", 0) > 1:
        raise unittest.SkipTest("ours: workers of 2 or more are refused")
    columns = {"x": np.asarray(x), "y": np.asarray(y)}
    if sample_weight is not None:
        columns["w"] = np.asarray(sample_weight)
    options.pop("max_queue_size", None)
    return Sequence(
        vaex.from_arrays(**columns),
        inputs="x",
        targets="y",
        sample_weight="w" if sample_weight is not None else None,
        batch_size=batch_size,
        **options,
    )


def does_not_apply(name: str) -> str | None:
    """Why a test of theirs says nothing about a Sequence."""
    if any(word in name for word in ("multi", "infinite", "speedup")):
        return "a Sequence has a last batch, and refuses workers"
    if name.startswith("test_basic_flow_single_jax") and keras.backend.backend() == "jax":
        return "it wants back the JAX arrays it put in; data from files has none"
    if name.startswith(("test_dict_inputs", "test_with_different_shapes", "test_exception_reported")):
        return "it has a class of its own instead of the example"
    return None


@pytest.mark.backend
@pytest.mark.slow
def test_keras_own_tests_pass_on_a_sequence(monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = importlib.import_module(MODULE)
        monkeypatch.setattr(module, "ExamplePyDataset", from_arrays)
        case = module.PyDatasetAdapterTest
        names = unittest.TestLoader().getTestCaseNames(case)
        left_out = {name: reason for name in names if (reason := does_not_apply(name))}
        result = unittest.TestResult()
        unittest.TestSuite(case(name) for name in names if name not in left_out).run(result)
    for name, reason in left_out.items():
        print(f"left out {name}: {reason}")
    assert not [*result.errors, *result.failures], "\n".join(text for _, text in result.errors + result.failures)
    for test, reason in result.skipped:
        print(f"skipped {test.id().rsplit('.', 1)[-1]}: {reason}")
    assert result.testsRun - len(result.skipped) >= 7
