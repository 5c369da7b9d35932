"""A snapshot of a model: trained to be measured, then restored as it was."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from vaxseq.errors import OptionError
from vaxseq.training.backend import keras
from vaxseq.training.keras_internals import keep_global_seed

# what a fit sets on a model, besides its variables
_ATTRIBUTES = ("history", "stop_training", "train_function", "test_function", "predict_function")


@contextmanager
def unchanged(model: keras.Model, batch: Any) -> Iterator[None]:
    """Whatever is trained inside, afterwards the model and what chance depends on are as before.

    Weights, optimizer, metrics, ``model.history`` and compiled functions; the seeds of the model's layers, Keras's own
    seed, and the generators of Python, NumPy and torch. A model without weights yet is built, from the batch's shapes.

    Raises:
        OptionError: the model isn't compiled.
    """
    if getattr(model, "optimizer", None) is None:
        raise OptionError(f"profile: model {model.name!r} isn't compiled. Call compile() first.")
    if not model.built:
        x = batch[0] if isinstance(batch, tuple) else batch
        model(keras.tree.map_structure(lambda array: keras.ops.convert_to_tensor(array[:1]), x))
    model.optimizer.build(model.trainable_variables)
    kept = {id(one): (one, _value(one)) for one in _variables(model)}
    missing = object()
    attributes = {name: getattr(model, name, missing) for name in _ATTRIBUTES}
    put_back = _chance()
    try:
        yield
    finally:
        put_back()
        for one in _variables(model):
            if id(one) not in kept:  # of metrics, which the first fit makes
                one.assign(keras.ops.zeros_like(one.value))
        for variable, value in kept.values():
            variable.assign(value)
        for name, known in attributes.items():
            if known is not missing:
                setattr(model, name, known)
            elif hasattr(model, name):
                delattr(model, name)


def _variables(model: keras.Model) -> list[Any]:
    return [*model.variables, *model.optimizer.variables, *model.metrics_variables]


def _value(variable: Any) -> Any:
    return np.array(keras.ops.convert_to_numpy(variable.value))


def _chance() -> Callable[[], None]:
    """Notes what random numbers depend on; gives a function that puts it back."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - others draw from it
    put_back_seed = keep_global_seed()
    torch_state = None
    if keras.backend.backend() == "torch":
        import torch

        torch_state = torch.get_rng_state()

    def put_back() -> None:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        put_back_seed()
        if torch_state is not None:
            torch.set_rng_state(torch_state)

    return put_back
