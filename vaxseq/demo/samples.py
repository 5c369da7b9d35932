"""Where the shipped samples are: beside the package in a clone, inside it once installed."""

from __future__ import annotations

from pathlib import Path

from vaxseq.errors import SourceNotFoundError

_PACKAGE = Path(__file__).resolve().parent.parent


def samples_folder() -> Path:
    """The folder of the samples and their definition files.

    Raises:
        SourceNotFoundError: the package came without them.
    """
    places = (_PACKAGE / "data_samples", _PACKAGE.parent / "data_samples")
    for place in places:
        if (place / "digits.parquet").is_file():
            return place
    raise SourceNotFoundError(f"data_samples: not in {' or '.join(map(str, places))}. Install vaxseq from its wheel.")
