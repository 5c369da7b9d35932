"""An exploration's summaries in a file: arrays and JSON, kept under the data's fingerprint."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from vaxseq.dataset.cache import cache_folder, draft_of
from vaxseq.report.bins import Bins
from vaxseq.report.column import ColumnSummary
from vaxseq.report.distinct import Distinct, Tops

_VERSION = "1"
_PLAIN = ("name", "type", "kind", "unit", "rows", "missing", "infinite", "count", "min", "max", "mean", "std")


def cache_file(fingerprint: str, types: Mapping[str, str]) -> Path:
    """Where the summaries of this data's columns are, or would be."""
    text = f"{_VERSION}|{fingerprint}|{json.dumps(dict(types))}"
    return cache_folder() / f"explored-{hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}.npz"


def save(file: Path, columns: Mapping[str, ColumnSummary]) -> None:
    """Writes the summaries, whole or not at all."""
    plain, arrays = [], dict[str, Any]()
    for number, one in enumerate(columns.values()):
        plain.append(
            {name: getattr(one, name) for name in _PLAIN}
            | {
                "shape": one.shape,
                "shift": one.bins.shift,
                "error": one.tops.error,
                "texts": one.tops.values.to_pylist(),
            }
        )
        arrays |= {f"{number}.keys": one.bins.keys, f"{number}.counts": one.bins.counts}
        arrays |= {f"{number}.hashes": one.distinct.hashes, f"{number}.tops": one.tops.counts}
    arrays["json"] = np.frombuffer(json.dumps(plain).encode(), np.uint8)
    with draft_of(file) as draft, open(draft, "wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)


def load(file: Path) -> dict[str, ColumnSummary] | None:
    """The summaries; None when they aren't there, or not whole."""
    try:
        with np.load(file, allow_pickle=False) as stored:
            plain = json.loads(stored["json"].tobytes())
            return {one["name"]: _summary(one, stored, number) for number, one in enumerate(plain)}
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        file.unlink(missing_ok=True)  # cut short: a scan replaces it
        return None


def _summary(plain: dict[str, Any], stored: Any, number: int) -> ColumnSummary:
    one = ColumnSummary(**{name: plain[name] for name in _PLAIN}, shape=tuple(plain["shape"]))
    one.bins = Bins(one.is_time, plain["shift"], stored[f"{number}.keys"], stored[f"{number}.counts"])
    texts = pa.array(plain["texts"], pa.large_string())
    one.tops = Tops(error=plain["error"], values=texts, counts=stored[f"{number}.tops"])
    one.distinct = Distinct(stored[f"{number}.hashes"])
    return one
