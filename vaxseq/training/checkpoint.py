"""A training's state in a folder: the weights as Keras writes them, the rest as JSON; replaced atomically."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from vaxseq.errors import PositionError
from vaxseq.training.backend import keras

_VERSION = 1
_RECORD = "resume.json"


class Checkpoint:
    """One saved state in ``folder``: a record, and the weights file that it names.

    The record is renamed into place when the weights are on disk, so a kill at any moment leaves the old state or
    the new one.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def save(self, model: keras.Model, record: Mapping[str, Any]) -> None:
        """Replace the state by the model's, with ``record`` (plain values)."""
        self.folder.mkdir(parents=True, exist_ok=True)
        held = self.record()
        number = 1 if held is None else int(held["number"]) + 1
        weights = self.folder / f"state-{number}.weights.h5"
        with _without_distribution():
            model.save_weights(weights, overwrite=True)
        _sync(weights)
        text = json.dumps(
            {"version": _VERSION, "number": number, "weights": weights.name, "seeds": _seeds(model), **record}, indent=1
        )
        part = self.folder / f"{_RECORD}.part"
        with part.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, self.folder / _RECORD)
        _sync(self.folder)
        for old in self.folder.glob("state-*.weights.h5"):
            if old != weights:
                old.unlink()

    def record(self) -> dict[str, Any] | None:
        """The record, or None if nothing was saved yet.

        Raises:
            PositionError: it is of another version, or damaged.
        """
        file = self.folder / _RECORD
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise PositionError(
                f"{file}: can't be read ({error}). Delete the folder to train from the start."
            ) from error
        if not isinstance(found, dict) or found.get("version") != _VERSION:
            raise PositionError(f"{file}: expected version {_VERSION}. Delete the folder to train from the start.")
        return found

    def restore(self, model: keras.Model, record: Mapping[str, Any], inputs: Any) -> None:
        """Put the weights, the optimizer and the seeds into a model, built on ``inputs`` if it isn't yet.

        Raises:
            PositionError: it is another model.
        """
        file = self.folder / record["weights"]
        if not model.built:  # TensorFlow builds in the first step
            model(keras.tree.map_structure(keras.ops.convert_to_tensor, inputs), training=False)
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        try:
            model.load_weights(file)
        except ValueError as error:
            raise PositionError(
                f"{file}: saved from another model ({error}). Train the model that saved it, or use another folder."
            ) from error
        seeds = _seed_variables(model)
        if len(seeds) != len(record["seeds"]):
            raise PositionError(f"{file}: got {len(seeds)} random layers in the model, expected {len(record['seeds'])}")
        for variable, value in zip(seeds, record["seeds"], strict=True):
            variable.assign(np.array(value, dtype=variable.dtype))


@contextmanager
def _without_distribution() -> Iterator[None]:
    """Keras makes variables of its own while it saves; distributed, they would wait for ranks that don't save."""
    held = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(held)


def _seeds(model: keras.Model) -> list[Any]:
    return [keras.ops.convert_to_numpy(variable.value).tolist() for variable in _seed_variables(model)]


def _seed_variables(model: keras.Model) -> list[Any]:
    """The states of random generators, such as dropout's: Keras keeps them in the model and not in its files."""
    others = {id(variable) for variable in [*model.weights, *model.metrics_variables]}
    return [variable for variable in model.variables if id(variable) not in others]


def _sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
