"""``export``: a trained model with its features as a SavedModel, ONNX or LiteRT file, or its records as OpenAPI."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vaxseq.display.html import Heading
from vaxseq.display.tables import Display, Shown
from vaxseq.display.text_file import check_kind, write_text
from vaxseq.errors import MissingExtraError, OptionError, SourceError, SourceNotFoundError, did_you_mean
from vaxseq.features import FittedFeatures
from vaxseq.features.records.schema import openapi

_NEEDS = {
    "saved-model": ("tensorflow",),
    "onnx": ("tensorflow", "tf2onnx", "onnx", "onnxruntime"),
    "litert": ("tensorflow",),
    "openapi": (),
}
_MARKS = {"onnx": b"tf2onnx", "litert": b"TFL3", "openapi": b'"openapi"'}
_SAVED_MODEL = {"saved_model.pb", "variables", "assets", "fingerprint.pb", "keras_metadata.pb"}
TOLERANCE = 1e-5
_ROWS = 64


@dataclass(frozen=True, repr=False)
class Exported(Shown):
    """What was written, and how far its numbers are from Keras's on the records that were put through both.

    ``difference`` is the greatest over all predictions, relative to ``max(1, |prediction|)``; None of a description.
    """

    path: str
    to: str
    bytes: int
    inputs: tuple[str, ...]
    records: int = 0
    difference: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        return {**asdict(self), "inputs": list(self.inputs)}

    def _display(self) -> Display:
        rows = [("written", f"{self.path}, {self.bytes / 1e3:,.1f} kB"), ("takes", ", ".join(self.inputs))]
        if self.difference is not None:
            rows.append(("checked", f"{self.records:,} records: at most {self.difference:.1e} from Keras"))
        return Display("", (Heading(self.to), Heading("")), tuple(rows), (), self.to_dict())


def export(
    model: str | os.PathLike[str],
    fitted: FittedFeatures | str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    to: str,
    records: Any = None,
    overwrite: bool = False,
) -> Exported:
    """Writes a trained model with its features in another format, and checks it on the spot.

    A process of its own does it, on TensorFlow, whatever backend trained the model. The file takes what
    ``fitted.encode_records`` gives and gives the model's predictions; ``"openapi"`` writes an OpenAPI document of the
    records instead, and needs neither.

    Args:
        model: a ``.keras`` file: trained on these features, or with their layer inside already.
        fitted: fitted features, or their state file.
        path: the file to write; for ``"saved-model"`` a folder.
        to: "saved-model", "onnx", "litert" or "openapi".
        records: what to check with, as ``transform_records`` takes it; made up from the fitted state by default.
        overwrite: replace what is there, if it is of this format.

    Raises:
        OptionError: an unknown format; or predictions that differ by more than 1e-5 of ``max(1, |prediction|)``, with
            nothing written.
        MissingExtraError: a package that the format needs isn't installed.
        SourceError: the model can't be read or exported; says why. Or something else is at ``path``.
    """
    if to not in _NEEDS:
        raise OptionError(f"export to: unknown format {to!r}.{did_you_mean(to, _NEEDS)}")
    target = Path(path)
    if target.exists() and not overwrite:
        raise OptionError(f"{target}: is there already. Pass overwrite=True to replace it, or name another.")
    _check_replaceable(target, to)
    if not target.parent.is_dir():
        raise SourceNotFoundError(f"{target}: there is no folder {target.parent}. Make it, or write elsewhere.")
    features = fitted if isinstance(fitted, FittedFeatures) else FittedFeatures.load(fitted)
    if to == "openapi":
        text = json.dumps(openapi(features), indent=2) + "\n"
        write_text(target, text, what="an OpenAPI document", mark=_MARKS[to])
        return Exported(str(target), to, target.stat().st_size, tuple(openapi(features)["components"]["schemas"]))
    if not Path(model).is_file():
        raise SourceNotFoundError(f"{os.fspath(model)}: no such model file. Save it: model.save('model.keras').")
    absent = [package for package in _NEEDS[to] if find_spec(package) is None]
    if absent:
        extra = "onnx" if to == "onnx" else "tensorflow"
        raise MissingExtraError(f"export to {to}: {', '.join(absent)} isn't there. Run: pip install 'vaxseq[{extra}]'")
    return _in_a_process(Path(model), features, target, to, records)


def _in_a_process(model: Path, features: FittedFeatures, target: Path, to: str, records: Any) -> Exported:
    with tempfile.TemporaryDirectory(prefix="vaxseq-export-", dir=target.parent) as folder:
        work = Path(folder)
        features.save(work / "fitted.json")
        if records is not None:
            _write_records(features, records, work)
        order = {"model": str(model.resolve()), "folder": folder, "to": to, "rows": _ROWS, "tolerance": TOLERANCE}
        done = subprocess.run(  # noqa: S603 - our own module, by this Python
            [sys.executable, "-m", "vaxseq.training.export.process", json.dumps(order)],
            env={**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        answer = work / "answer.json"
        if done.returncode or not answer.exists():
            said = [line for line in done.stderr.strip().splitlines() if line.strip()]
            raise SourceError(f"{model}: can't be exported to {to}; {said[-1] if said else 'the process ended'}")
        found = json.loads(answer.read_text(encoding="utf-8"))
        if found["problem"]:
            raise OptionError(f"export to {to}: {found['problem']}")
        made = work / "made"
        size = sum(one.stat().st_size for one in [made, *made.rglob("*")] if one.is_file())
        _check_replaceable(target, to)
        if target.is_dir():
            target.replace(work / "replaced")  # goes with the folder
        made.replace(target)
    return Exported(str(target), to, size, tuple(found["inputs"]), found["records"], found["difference"])


def _write_records(features: FittedFeatures, records: Any, folder: Path) -> None:
    """Checked and encoded here, where they can be of any kind."""
    import numpy as np

    np.savez(folder / "encoded.npz", allow_pickle=False, **features.encode_records(records))
    np.savez(folder / "served.npz", allow_pickle=False, **features.transform_records(records))


def _check_replaceable(target: Path, to: str) -> None:
    """Refuses to put what is exported in the place of anything but an earlier one."""
    if to != "saved-model":
        check_kind(target, f"exported as {to}", _MARKS[to])
        return
    names = {one.name for one in target.iterdir()} if target.is_dir() and not target.is_symlink() else {"a file"}
    if os.path.lexists(target) and names and not ("saved_model.pb" in names and names <= _SAVED_MODEL):
        raise SourceError(f"{target}: not replaced: it isn't a SavedModel's folder alone. Name another one.")
