"""``balance=``: an epoch's draws by shares of classes, or by a column of weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from vaxseq.errors import OptionError, did_you_mean
from vaxseq.features.program.recipe import Field, Recipe, column_recipe
from vaxseq.frame import Source
from vaxseq.loading.readers.frame import FrameReader
from vaxseq.plan.balance import Balanced, Weighted, balance, class_members
from vaxseq.plan.plan import Resampling
from vaxseq.training.examples import Examples

_CHUNK_ITEMS = 1 << 18


def draws_of(
    wanted: Mapping[Any, float] | str, items: Examples, source: Source, recipe: Recipe, classes: Any, seed: int
) -> Resampling:
    """The draws of an epoch: classes in the given shares, or items as often as a column's weights say.

    Args:
        wanted: class -> share of the draws, classes by number or by name; or the name of a column of weights.
        items: what is drawn from.
        source: where the column is.
        recipe: whose only target holds the classes.
        classes: names of the classes 0, 1, ...; None if they have none.
        seed: of the draws.

    Raises:
        OptionError: a class without a share, or no target to take classes from.
        SelectionError: a class that should be drawn has no rows; a weight is missing or negative.
    """
    if isinstance(wanted, str):
        return Weighted(_weights(wanted, items, source), seed=seed)
    return _balanced(wanted, items, source, recipe, list(classes or []), seed)


def _weights(column: str, items: Examples, source: Source) -> Iterator[npt.NDArray[Any]]:
    if column not in source.names:
        raise OptionError(f"balance: no column {column!r}.{did_you_mean(column, source.names)}")
    reader = FrameReader(source, column_recipe(source.empty([column]), {}, None, column))
    for start in range(0, items.index.n, _CHUNK_ITEMS):
        places = np.arange(start, min(start + _CHUNK_ITEMS, items.index.n))
        yield reader.gather(items.row_ids(places))[0]


def _balanced(
    shares: Mapping[Any, float], items: Examples, source: Source, recipe: Recipe, names: list[Any], seed: int
) -> Balanced:
    targets = [field for field in items.fields if field.role == "target"]
    if len(targets) != 1 or targets[0].width != 1:
        raise OptionError("balance: expected one target of one number a row to take the classes from")
    numbers = {_number(key, names): key for key in shares}
    if not numbers:
        raise OptionError("balance: got an empty dict, expected a share for each class")
    known = np.array(sorted(numbers), np.int64)

    def codes() -> Iterator[npt.NDArray[np.int64]]:
        for target in targets_of(items, targets[0], source, recipe):
            found = np.rint(target.reshape(-1)).astype(np.int64)
            place = np.minimum(np.searchsorted(known, found), len(known) - 1)
            strange = np.flatnonzero(known[place] != found)
            if strange.size:
                number = int(found[strange[0]])
                label = repr(names[number]) if 0 <= number < len(names) else str(number)
                raise OptionError(f"balance: class {label} has no share. Give each class one; 0 leaves it out.")
            yield place

    members = class_members(codes(), len(known))
    labels = [str(numbers[number]) for number in known.tolist()]
    by_label = {str(key): share for key, share in shares.items()}
    return balance(dict(zip(labels, members, strict=True)), by_label, seed=seed)


def targets_of(items: Examples, field: Field, source: Source, recipe: Recipe) -> Iterator[npt.NDArray[Any]]:
    """The target of every item, in order, by chunks."""
    if items.unit == "rows":
        reader = FrameReader(source, recipe.only("target"))
        for start in range(0, items.index.n, _CHUNK_ITEMS):
            places = np.arange(start, min(start + _CHUNK_ITEMS, items.index.n))
            yield reader.gather(items.row_ids(places))[0]
        return
    chunk = max(1, items.reader.chunk_bytes // max(1, items.reader.row_bytes()))
    place = [one.name for one in items.fields].index(field.name)
    for start in range(0, items.index.n, chunk):
        yield items.reader.gather(items.index.ids(start, min(start + chunk, items.index.n)))[place]


def _number(key: Any, names: list[Any]) -> int:
    if isinstance(key, str):
        if key not in names:
            raise OptionError(f"balance: no class {key!r}.{did_you_mean(key, map(str, names))}")
        return names.index(key)
    if isinstance(key, bool) or int(key) != key:
        raise OptionError(f"balance: got class {key!r}, expected a whole number or a class's name")
    return int(key)
