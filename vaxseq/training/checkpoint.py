"""A training's state in a folder: the weights as Keras writes them, the rest as JSON; replaced atomically."""

from __future__ import annotations

import json
import logging
import os
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vaxseq.errors import OptionError, PositionError
from vaxseq.training.backend import keras
from vaxseq.training.folder_lock import FolderLock

_VERSION = 2
_RECORD, _BEFORE = "resume.json", "resume-before.json"
_WEIGHTS = re.compile(r"state-\d+\.weights\.h5")
_BLOCK_BYTES = 1 << 22

_log = logging.getLogger("vaxseq")


class Saved(NamedTuple):
    """A saved state: its record, and the file of its weights."""

    record: dict[str, Any]
    weights: Path


class Checkpoint:
    """The last two saved states in ``folder``: of each a record, and the weights file that it names.

    A record is renamed into place when its weights are on disk, so a kill at any moment leaves the old state or the
    new one.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._lock = FolderLock(self.folder)
        self._last: Saved | None = None  # the last whole state

    def open(self, owner: Any) -> None:
        """Makes the folder ready to be saved into by this training alone.

        Raises:
            OptionError: it can't be written, another training writes there, or weights of another maker are there.
        """
        if not self._lock.was_taken and not (self.folder / _RECORD).exists() and (others := self._weights()):
            raise OptionError(
                f"{self.folder}: holds {others[0].name}, which no training of vaxseq's has saved, and which would be "
                "lost. Give ResumeTraining a folder of its own."
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.take(owner)
            trial = self.folder / ".trial.part"  # one name: the next training removes what a killed one has left
            trial.write_bytes(b"")
            trial.unlink()
        except OSError as error:
            raise OptionError(
                f"{self.folder}: can't be written ({error}), so nothing could be resumed. Give ResumeTraining a folder "
                "that can."
            ) from error

    def close(self) -> None:
        """Lets others save there."""
        self._lock.release()

    def save(self, model: keras.Model, record: Mapping[str, Any]) -> None:
        """Add the model's state, with ``record`` (plain values), to the one that was saved or loaded last."""
        held = self._last
        number = 1 if held is None else int(held.record["number"]) + 1
        weights = self.folder / f"state-{number}.weights.h5"
        with _without_distribution():
            model.save_weights(weights, overwrite=True)
        _sync(weights)
        content = {
            "version": _VERSION, "number": number, "weights": weights.name, "crc32": _crc32(weights),
            "model": _shapes(model), "seeds": _seeds(model), **record,
        }  # fmt: skip
        if held is not None:
            self._write(_BEFORE, held.record)
        self._write(_RECORD, content)
        self._last = Saved(content, weights)
        kept = {weights} if held is None else {weights, held.weights}
        for old in self._weights():
            if old not in kept:
                old.unlink()

    def load(self, model: keras.Model) -> Saved | None:
        """The last whole state, or None if nothing was saved yet. That one is damaged is logged.

        Raises:
            PositionError: all of it is damaged, or of another model; it says what differs.
        """
        self._last, damages = None, list[str]()
        for name in (_RECORD, _BEFORE):
            try:
                found = self._read(name)
                if found is None and not damages:
                    return None
                if found is not None:
                    _check_whole(found)
                    for damage in damages:
                        _log.error("%s Training goes on from the state before it.", damage)
                    _check_model(found, model)
                    self._last = found
                    return found
            except _DamagedError as error:
                damages.append(str(error))
        raise PositionError(
            f"{damages[0]} There is no whole state before it. Delete the folder to train from the start."
        )

    def restore(self, model: keras.Model, saved: Saved, inputs: Any) -> None:
        """Put the weights, the optimizer and the seeds into a model, built on ``inputs`` if it isn't yet.

        Raises:
            PositionError: it is another model.
        """
        if not model.built:  # TensorFlow builds in the first step
            model(keras.tree.map_structure(keras.ops.convert_to_tensor, inputs), training=False)
            _check_model(saved, model)
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        try:
            model.load_weights(saved.weights)
        except ValueError as error:
            raise PositionError(f"{saved.weights}: saved from another model ({error}). {_REMEDY}") from error
        seeds = _seed_variables(model)
        if len(seeds) != len(saved.record["seeds"]):
            raise PositionError(
                f"{saved.weights}: got {len(seeds)} random layers in the model, expected {len(saved.record['seeds'])}"
            )
        for variable, value in zip(seeds, saved.record["seeds"], strict=True):
            variable.assign(np.array(value, dtype=variable.dtype))

    def _weights(self) -> list[Path]:
        """The files of weights that are named as ours are."""
        found = self.folder.iterdir() if self.folder.is_dir() else ()
        return [one for one in found if _WEIGHTS.fullmatch(one.name)]

    def _read(self, name: str) -> Saved | None:
        file = self.folder / name
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValueError as error:
            raise _DamagedError(f"{file}: can't be read ({error}).") from error
        if isinstance(found, dict) and found.get("version") not in (None, _VERSION):
            raise PositionError(
                f"{file}: got version {found['version']!r}, expected {_VERSION}. Delete the folder to train from the "
                "start."
            )
        if not isinstance(found, dict) or not {"number", "weights", "crc32", "model", "seeds", "position"} <= set(
            found
        ):
            raise _DamagedError(f"{file}: isn't a whole record.")
        return Saved(found, self.folder / str(found["weights"]))

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        part = self.folder / f"{name}.part"
        with part.open("w", encoding="utf-8") as file:
            file.write(json.dumps(content, indent=1))
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, self.folder / name)
        _sync(self.folder)


class _DamagedError(PositionError):
    """A saved state that isn't as it was written."""


_REMEDY = "Train the model that saved it, or use another folder."


def _check_whole(saved: Saved) -> None:
    try:
        crc32 = _crc32(saved.weights)
    except OSError as error:
        raise _DamagedError(f"{saved.weights}: can't be read ({error}).") from error
    if crc32 != saved.record["crc32"]:
        raise _DamagedError(f"{saved.weights}: damaged; got checksum {crc32}, expected {saved.record['crc32']}.")


def _check_model(saved: Saved, model: keras.Model) -> None:
    """Compares the shapes of the weights, if the model has any yet."""
    if not model.built:
        return
    was, now = saved.record["model"], _shapes(model)
    for (name, shape), (new_name, new_shape) in zip(was, now, strict=False):
        if shape != new_shape:
            raise PositionError(
                f"{saved.weights}: saved from another model; got {new_name} of shape {new_shape}, expected {name} of "
                f"shape {shape}. {_REMEDY}"
            )
    if len(was) != len(now):
        raise PositionError(
            f"{saved.weights}: saved from another model; got {len(now)} weights, expected {len(was)}. {_REMEDY}"
        )


def _shapes(model: keras.Model) -> list[Any]:
    return [[variable.path, list(variable.shape)] for variable in model.weights]


def _crc32(path: Path) -> int:
    total = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            total = zlib.crc32(block, total)
    return total


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
