"""What a dataset's manifest tells of its columns' values, checked before anything is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vaxseq.dataset.manifest import MANIFEST_NAME, Manifest
from vaxseq.errors import FeatureTypeError, VaxseqError
from vaxseq.features.program.recipe import Recipe
from vaxseq.loading.readers.ranges import Rounding, exact_below

Ranges = Mapping[str, tuple[float, float]]


def known_ranges(files: Sequence[str]) -> Ranges:
    """Column -> (least, greatest) of all the rows in these files; empty where no one manifest speaks of all of them."""
    folders = {Path(one).parent for one in files}
    if len(folders) != 1:
        return {}
    [folder] = folders
    place = folder if (folder / MANIFEST_NAME).exists() else Path(files[0])
    if place is not folder and (len(files) != 1 or place.suffix not in (".arrow", ".hdf5", ".h5")):
        return {}
    try:
        manifest = Manifest.load(place)
    except (VaxseqError, OSError):
        return {}  # not a dataset of ours: values are checked as they are read
    named = {str(path) for path in manifest.paths()}
    return manifest.ranges if {str(Path(one)) for one in files} <= named else {}


def check_known(ranges: Ranges, recipe: Recipe, rounding: Rounding, *, whole: bool) -> None:
    """Warns of whole numbers that a plain column's array rounds; refuses values that it makes infinite.

    Args:
        ranges: of columns, over the rows served or more.
        recipe: of plain columns.
        rounding: is told, so that the reading doesn't warn again.
        whole: whether all rows are served. If not, a value beyond the type may be left out, so reading decides.

    Raises:
        FeatureTypeError: naming the column and its value.
    """
    for field in recipe.fields:
        for part in field.parts:
            if field.dtype.kind != "f" or part.name not in ranges:
                continue
            extreme = max(ranges[part.name], key=abs)
            if abs(extreme) > float(np.finfo(field.dtype).max):
                if whole:
                    raise FeatureTypeError(
                        f"{field.role} {field.name!r}, feature {part.name!r}: its values go to {extreme:.6g}, and "
                        f"{field.dtype} to {np.finfo(field.dtype).max:.4g}. Give the block dtype: float64, take a "
                        "log1p or clip step, or leave such rows out with where=."
                    )
            elif isinstance(extreme, int) and abs(extreme) > exact_below(field.dtype):
                if whole and int(field.dtype.type(extreme)) != extreme:
                    rounding.tell(field, part, extreme)
