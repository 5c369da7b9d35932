"""The folder of what was computed once and can be again: row indexes, columns of the past, explorations, stores."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """$VAXSEQ_CACHE, else $XDG_CACHE_HOME/vaxseq, else ~/.cache/vaxseq."""
    if named := os.environ.get("VAXSEQ_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vaxseq"
