"""The formats: how each is written, and how its file is asked for predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = Mapping[str, npt.NDArray[Any]]
Write = Callable[[Any, Path], None]
Run = Callable[[Path, Arrays], list[npt.NDArray[Any]]]


def write_saved_model(model: Any, path: Path) -> None:
    """A folder of TensorFlow's, with the endpoint ``serve``."""
    model.export(str(path), format="tf_saved_model", verbose=False)


def run_saved_model(path: Path, arrays: Arrays) -> list[npt.NDArray[Any]]:
    """Its ``serve``."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))  # it holds the variables that its functions read
    return _listed(loaded.serve({name: tf.constant(array) for name, array in arrays.items()}))


def write_onnx(model: Any, path: Path) -> None:
    """One ONNX file, its inputs by name."""
    model.export(str(path), format="onnx", verbose=False)


def run_onnx(path: Path, arrays: Arrays) -> list[npt.NDArray[Any]]:
    """By onnxruntime on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    wanted = [one.name for one in session.get_inputs()]
    given = {name: arrays[_known(name, arrays)] for name in wanted}
    return [np.asarray(one) for one in session.run(None, given)]


def write_litert(model: Any, path: Path) -> None:
    """One LiteRT (TensorFlow Lite) file, for one record or many."""
    import tempfile

    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        write_saved_model(model, Path(folder) / "saved")
        path.write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(Path(folder) / "saved")).convert())


def run_litert(path: Path, arrays: Arrays) -> list[npt.NDArray[Any]]:
    """By its interpreter."""
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(model_path=str(path))
    details = interpreter.get_input_details()
    places = {_known(one["name"], arrays): one["index"] for one in details}
    for name, index in places.items():
        interpreter.resize_tensor_input(index, arrays[name].shape)
    interpreter.allocate_tensors()
    for name, index in places.items():
        interpreter.set_tensor(index, arrays[name])
    interpreter.invoke()
    return [interpreter.get_tensor(one["index"]) for one in interpreter.get_output_details()]


def _known(name: str, arrays: Arrays) -> str:
    """The array that an input is named after: exporters put a prefix or a suffix to some names."""
    bare = name.removeprefix("serving_default_").removeprefix("serve_").partition(":")[0]
    return bare if bare in arrays else min(arrays, key=lambda one: (one not in bare, -len(one)))


def _listed(outputs: Any) -> list[npt.NDArray[Any]]:
    if isinstance(outputs, Mapping):
        return [np.asarray(outputs[name]) for name in sorted(outputs)]
    return [np.asarray(one) for one in (outputs if isinstance(outputs, list | tuple) else [outputs])]


FORMATS: dict[str, tuple[Write, Run]] = {
    "saved-model": (write_saved_model, run_saved_model),
    "onnx": (write_onnx, run_onnx),
    "litert": (write_litert, run_litert),
}
