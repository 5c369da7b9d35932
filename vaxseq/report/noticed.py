"""What the conversion of a dataset noticed, as findings of its report."""

from __future__ import annotations

import os
from typing import Any

from vaxseq.dataset.manifest import Manifest
from vaxseq.errors import DatasetError, SourceError
from vaxseq.report.findings import Finding


def noticed(data: Any) -> list[Finding]:
    """Columns that stayed as they were written although something else is likely."""
    path = data if isinstance(data, (str, os.PathLike)) else getattr(getattr(data, "dataset", None), "path", None)
    if not isinstance(path, (str, os.PathLike)):
        return []
    try:
        manifest = Manifest.load(os.fspath(path))
    except (DatasetError, SourceError):  # a dataset of another maker has none
        return []
    return [
        Finding("warn", "As it was written", f"{one}. Convert it with {dict(one.options)}.", one.column)
        for one in manifest.notices if one.options
    ]  # fmt: skip
