"""`Query`: which rows of which frame, and the recipe of their arrays; a Sequence and a store agree on it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from vaxseq.errors import ColumnNotFoundError, OptionError, did_you_mean
from vaxseq.expressions import name_of, names_of, parse, text_of
from vaxseq.expressions.values import Value
from vaxseq.features.program.recipe import Columns, Recipe, Role, column_recipe
from vaxseq.frame import source_of
from vaxseq.loading.known_ranges import check_known, known_ranges
from vaxseq.loading.readers.ranges import Rounding
from vaxseq.loading.selection import select_rows
from vaxseq.plan.rows import RowIndex

if TYPE_CHECKING:
    from vaxseq.features import FittedFeatures

OnMissing = Literal["error", "drop"]

_ALL_ROWS, _SAMPLES, _SAMPLE_ROWS = 65_536, 64, 64


class Query:
    """Rows of a frame and the recipe of their arrays, checked against the frame's columns; scanned when first asked."""

    def __init__(
        self,
        frame: Any,
        fitted: FittedFeatures | None = None,
        *,
        inputs: Columns | Mapping[str, Columns] | None = None,
        targets: Columns | Mapping[str, Columns] | None = None,
        sample_weight: str | None = None,
        where: str | None = None,
        rows: slice | npt.ArrayLike | None = None,
        on_missing: OnMissing = "error",
    ) -> None:
        if on_missing not in ("error", "drop"):
            raise OptionError(f"on_missing: got {on_missing!r}, expected 'error' or 'drop'")
        self.source = source_of(frame)
        self.fitted = fitted
        self.plain = (
            names_of(inputs, "inputs"),
            names_of(targets, "targets"),
            name_of(sample_weight, "sample_weight"),
        )
        self.where = text_of(where)
        self._rows, self._on_missing = rows, on_missing
        self.left_out: dict[str, int] = {}
        self.recipe = self._make_recipe()
        self.rounding = Rounding()
        if fitted is None:  # fitted features check their own values
            whole = where is None and rows is None and on_missing == "error" and not self.source.filtered
            check_known(known_ranges(self.source.files()), self.recipe, self.rounding, whole=whole)
        if on_missing == "drop" and not self.recipe.of("target") and not self.recipe.of("weight"):
            raise OptionError('on_missing="drop": there is no target and no weight that could be missing')

    @cached_property
    def index(self) -> RowIndex:
        """The row index, scanned once; ``left_out`` then has what left rows out, and how many."""
        present = self.recipe.only("target", "weight") if self._on_missing == "drop" else None
        return select_rows(self.source, where=self.where, rows=self._rows, present=present, left_out=self.left_out)

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """Of the data, the selection of rows and the features, apart, so that a message can tell which differs.

        The data are known by their files' names, sizes and times.
        """
        columns = set(self.recipe.program.columns)
        if self.where is not None:
            columns |= parse(self.where, where="where").names
        features = repr(self.plain) if self.fitted is None else self.fitted.to_json()
        return {
            "data": self.source.fingerprint(columns),
            "selection": self._selection_fingerprint,
            "features": _digest(features + self._fields),
        }

    @cached_property
    def content(self) -> dict[str, str]:
        """Of the rows selected, the features and the data: the same for a copy of the files in another place.

        The data are known by their number of rows and by the values in samples of them.
        """
        columns = self.recipe.program.columns
        digest = hashlib.blake2b(repr((self.source.n_rows, sorted(columns))).encode(), digest_size=16)
        for start, stop in _samples(self.source.n_rows):
            for name, value in sorted(self.source.read(columns, start, stop).items()):
                digest.update(f"|{name}|{value.kind}|".encode())
                digest.update(_bytes_of(value))
            mask = self.source.filter_mask(start, stop)
            digest.update(b"" if mask is None else mask.tobytes())
        learned = None if self.fitted is None else json.loads(self.fitted.to_json())
        features = repr(self.plain) if learned is None else json.dumps([learned["definition"], learned["learned"]])
        return {
            "data": digest.hexdigest(),
            "selection": self._selection_fingerprint,
            "features": _digest(features + self._fields),
        }

    @property
    def _selection_fingerprint(self) -> str:
        rows: Any = self._rows
        if rows is not None and not isinstance(rows, slice):
            picked = np.ascontiguousarray(rows)
            rows = f"{picked.dtype}{picked.shape}{hashlib.blake2b(picked.tobytes(), digest_size=16).hexdigest()}"
        where = None if self.where is None else parse(self.where, where="where").text
        return _digest(json.dumps([where, str(rows), self._on_missing]))

    @property
    def _fields(self) -> str:
        return repr([(field.role, field.name, str(field.dtype), field.shape) for field in self.recipe.fields])

    def _make_recipe(self) -> Recipe:
        inputs, targets, sample_weight = self.plain
        if self.fitted is not None:
            if any(one is not None for one in self.plain):
                raise OptionError(
                    "inputs, targets, sample_weight: the fitted features say them already. Give one of the two."
                )
            if not hasattr(self.fitted, "recipe"):
                raise OptionError(
                    f"fitted: got {type(self.fitted).__name__}, expected FittedFeatures. Call fit() "
                    "first, or FittedFeatures.load(path)."
                )
            types = self.source.types()
            roles = _roles(self.fitted, types)
            recipe = self.fitted.recipe(types, roles=roles)
            self.source = self.fitted.source_of(self.source, roles)
            return recipe
        if inputs is None:
            raise OptionError("inputs: nothing to serve. Give fitted features, or inputs=[columns].")
        named = [*_listed(inputs), *_listed(targets), *_listed(sample_weight)]
        for name in named:
            if name not in self.source.names:
                shown = [known for known in self.source.names if not known.startswith("__")]
                raise ColumnNotFoundError(f"column {name!r}: not in the data.{did_you_mean(str(name), shown)}")
        return column_recipe(self.source.empty(named), inputs, targets, sample_weight)


def _roles(fitted: FittedFeatures, types: Mapping[str, str]) -> list[Role]:
    """Inputs, and targets and weights where the data has their columns: rows to predict have none."""
    roles: list[Role] = ["input"]
    optional: tuple[Role, ...] = ("target", "weight")
    for role in optional:
        groups = [group for group in fitted.groups if group.role == role]
        needed = [fitted.reads(group) for group in groups]
        if all(columns <= types.keys() for columns in needed):
            roles.append(role)
    return roles


def _listed(columns: Any) -> list[str]:
    if columns is None:
        return []
    if isinstance(columns, str):
        return [columns]
    if isinstance(columns, Mapping):
        return [name for one in columns.values() for name in _listed(one)]
    return list(columns)


def _samples(rows: int) -> list[tuple[int, int]]:
    """Ranges of rows over the whole of them, the first and the last included; all rows, if they are few."""
    if rows <= _ALL_ROWS:
        return [(0, rows)]
    starts = np.linspace(0, rows - _SAMPLE_ROWS, _SAMPLES).astype(np.int64).tolist()
    return [(start, start + _SAMPLE_ROWS) for start in starts]


def _bytes_of(value: Value) -> bytes:
    if value.kind == "text":
        return json.dumps(value.data.to_pylist()).encode()
    missing = value.is_missing()
    return missing.tobytes() + np.ascontiguousarray(value.data[~missing]).tobytes()  # a hole's bytes are anything


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
