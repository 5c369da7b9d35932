"""Plain records through the program: the same bits as training, for one record or many."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from vaxseq.dataset.input_tables import KINDS, columns_of, is_query, is_table, is_vaex
from vaxseq.errors import ColumnNotFoundError, FeatureTypeError, MissingValueError, OptionError, did_you_mean
from vaxseq.expressions.values import Value
from vaxseq.features.history.run import HistoryRun
from vaxseq.features.program.history import History
from vaxseq.features.program.recipe import Field, Recipe
from vaxseq.features.records.record_column import RecordColumn
from vaxseq.frame import held, rows_of, source_of

_NO_ROWS = 99
_COLUMNS = (list, tuple, np.ndarray, pa.Array, pa.ChunkedArray, pd.Series, pd.api.extensions.ExtensionArray)


class Records:
    """Runs a recipe on records; a missing value in the result is refused, but in the fields that ``may_miss``.

    Columns of the past are computed from the records, which are all the past that there is.
    """

    def __init__(
        self,
        recipe: Recipe,
        types: Mapping[str, str],
        *,
        may_miss: Collection[str] = (),
        past: Sequence[History] = (),
    ) -> None:
        self._recipe = recipe
        self._may_miss = may_miss
        self._past = tuple(past)
        made = {one.column for one in past}
        names = [name for name in recipe.program.columns if name not in made]
        names += [name for one in past for name in one.reads]
        self._columns = {name: RecordColumn(name, types[name]) for name in dict.fromkeys(names)}

    def arrays(self, records: Any) -> dict[str, npt.NDArray[Any]]:
        """Each field's array by name."""
        values, rows = self.values(records)
        return fill(self._recipe, self._recipe.program.run(values), rows, may_miss=self._may_miss)

    def values(self, records: Any) -> tuple[dict[str, Value], int]:
        """The program's columns, those of the past included, and how many records there are."""
        values, rows = self._values(records)
        if self._past:
            run = HistoryRun(self._past)
            values |= {name: Value(column) for name, column in run.block(values, rows).items()}
        return values, rows

    def _values(self, records: Any) -> tuple[dict[str, Value], int]:
        if isinstance(records, pd.DataFrame):
            self._require([str(name) for name in records.columns])
            return self._many({name: records[name] for name in self._columns}, len(records))
        if isinstance(records, pd.Series) and all(isinstance(name, str) for name in records.index):
            records = records.to_dict()  # a row of a frame
        if isinstance(records, Mapping):
            return self._mapping(records)
        if isinstance(records, Sequence) and not isinstance(records, (str, bytes)):
            return self._listed(records)
        # a service hands over what it was sent, so text is never taken for a file's name
        if is_vaex(records) or is_query(records) or isinstance(records, os.PathLike):
            source = source_of(records)
            self._require(source.names)
            found = rows_of(source, self._columns)
        elif is_table(records):
            found = columns_of(records, "records")
            self._require(found)
        else:
            wanted = f"a dict of lists or scalars, a list of dicts, {KINDS}"
            remedy = " A dataset's path is a pathlib.Path here." if isinstance(records, str) else ""
            raise OptionError(f"records: got {type(records).__name__}, expected {wanted}.{remedy}")
        rows = len(next(iter(found.values()), ()))
        return self._many(held({name: found[name] for name in self._columns}), rows)

    def _mapping(self, records: Mapping[str, Any]) -> tuple[dict[str, Value], int]:
        if not all(name in records for name in self._columns):
            self._require([str(name) for name in records])
        plain = [name for name, column in self._columns.items() if _depth(records[name]) <= len(column.shape)]
        if len(plain) == len(self._columns):
            return self._one(records), 1
        if plain:
            raise OptionError(f"records: {plain[0]!r} is one value beside columns of several; expected all alike")
        lengths = {name: len(records[name]) for name in self._columns}
        if len(set(lengths.values())) > 1:
            raise OptionError(f"records: columns of different lengths; got {lengths}")
        return self._many(records, next(iter(lengths.values())))

    def _listed(self, records: Sequence[Any]) -> tuple[dict[str, Value], int]:
        for number, record in enumerate(records):
            if not isinstance(record, Mapping):
                raise OptionError(f"records[{number}]: got {type(record).__name__}, expected a dict")
            self._require(record, f"records[{number}]: ")
        return self._many({name: [record[name] for record in records] for name in self._columns}, len(records))

    def _one(self, record: Mapping[str, Any]) -> dict[str, Value]:
        try:
            return {name: column.one(record[name]) for name, column in self._columns.items()}
        except FeatureTypeError:
            return self._collected({name: [record[name]] for name in self._columns})

    def _many(self, columns: Mapping[str, Any], rows: int) -> tuple[dict[str, Value], int]:
        return self._collected(columns), rows

    def _collected(self, columns: Mapping[str, Any]) -> dict[str, Value]:
        values: dict[str, Value] = {}
        wrong: list[str] = []
        for name, column in self._columns.items():
            try:
                values[name] = column.many(columns[name])
            except FeatureTypeError as error:
                wrong.append(str(error))
        if wrong:
            raise FeatureTypeError("\n".join(f"records: {one}" for one in wrong))
        return values

    def _require(self, present: Any, where: str = "records: ") -> None:
        absent = [name for name in self._columns if name not in present]
        if absent:
            lines = [f"{where}column {name!r} isn't there.{did_you_mean(name, present)}" for name in absent]
            raise ColumnNotFoundError("\n".join(lines) + "\nPass None for a value that is missing")


def fill(
    recipe: Recipe, outputs: Sequence[Value], rows: int, *, may_miss: Collection[str]
) -> dict[str, npt.NDArray[Any]]:
    """The fields' arrays, by name, from the program's outputs.

    Raises:
        MissingValueError: a value is missing in a field that isn't in ``may_miss``.
    """
    arrays: dict[str, npt.NDArray[Any]] = {}
    for field in recipe.fields:
        complete = field.name not in may_miss
        array = np.empty((rows, field.width), field.dtype)
        for part in field.parts:
            value = outputs[part.output]
            flat = value.data.reshape(rows, part.width)
            np.copyto(array[:, part.start : part.start + part.width], flat, casting="no")  # the program cast it already
            if complete and value.missing is not None and value.missing.any():
                _refuse(field, outputs)
        if complete and field.dtype.kind == "f" and np.isnan(array).any():
            _refuse(field, outputs)
        arrays[field.name] = array.reshape((rows, *field.shape))
    return arrays


def _refuse(field: Field, outputs: Sequence[Value]) -> None:
    lines = []
    for part in field.parts:
        missing = outputs[part.output].is_missing()
        if count := int(np.count_nonzero(missing)):
            first = int(np.flatnonzero(missing)[0])
            name = f"{field.name}.{part.name}" if field.role == "input" else f"{field.role} {field.name}"
            lines.append(f"{name}: missing in {count:,} of {len(missing):,} records, first in record {first}")
    remedy = "Say what happens then with a step (impute, a vocabulary's code for missing), or leave these records out"
    raise MissingValueError("\n".join(lines) + f". {remedy}")


def _depth(value: Any) -> int:
    """How many levels of lists a value has; 0 for a number, a text or None, and many for a column without rows."""
    if isinstance(value, np.ndarray):
        return value.ndim if value.size or not value.ndim else _NO_ROWS
    if isinstance(value, _COLUMNS) and len(value) == 0:
        return _NO_ROWS
    depth = 0
    while isinstance(value, _COLUMNS):
        depth += 1
        if len(value) == 0 or not isinstance(value, (list, tuple)):
            break
        value = next((one for one in value if one is not None), None)
        if isinstance(value, np.ndarray):
            return depth + value.ndim
    return depth
