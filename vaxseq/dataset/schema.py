"""What a dataset's columns are called and hold: frozen values, their YAML form and their Arrow types."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from vaxseq.errors import ColumnNotFoundError, SchemaError, did_you_mean

_NAMED: dict[str, pa.DataType] = {
    "null": pa.null(), "bool": pa.bool_(), "int8": pa.int8(), "int16": pa.int16(), "int32": pa.int32(),
    "int64": pa.int64(),
    "uint8": pa.uint8(), "uint16": pa.uint16(), "uint32": pa.uint32(), "uint64": pa.uint64(),
    "float16": pa.float16(), "float32": pa.float32(), "float64": pa.float64(), "text": pa.string(), "date": pa.date32(),
    "category": pa.dictionary(pa.int32(), pa.string()), "binary": pa.binary(), "time[s]": pa.time32("s"),
    "time[ms]": pa.time32("ms"), "time[us]": pa.time64("us"), "time[ns]": pa.time64("ns"),
}  # fmt: skip
_ALIASES = {"string": "text", "str": "text", "double": "float64", "float": "float64", "int": "int64", "boolean": "bool"}
_SYNONYMS = {
    pa.large_string(): "text",
    pa.string_view(): "text",
    pa.large_binary(): "binary",
    pa.date64(): "timestamp[ms]",
}
_NAMES = {kind: name for name, kind in _NAMED.items()} | _SYNONYMS


def type_name(kind: pa.DataType) -> str:
    """The project's name of an Arrow type.

    >>> type_name(pa.list_(pa.list_(pa.float32(), 8), 8))
    'float32[8,8]'
    """
    if kind in _NAMES:
        return _NAMES[kind]
    if pa.types.is_timestamp(kind):
        return f"timestamp[{kind.unit}{', ' + kind.tz if kind.tz else ''}]"
    if pa.types.is_duration(kind):
        return f"duration[{kind.unit}]"
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_fixed_size_list(kind):
        shape, inner = array_shape(kind)
        return f"{type_name(inner)}[{','.join(map(str, shape))}]"
    return str(kind)


def type_of(name: str, where: str = "schema") -> pa.DataType:
    """The Arrow type that a name stands for.

    Raises:
        SchemaError: no such type.

    >>> type_of("timestamp[ms]")
    TimestampType(timestamp[ms])
    """
    text = str(name).strip()
    plain = _ALIASES.get(text, text)
    if plain in _NAMED:
        return _NAMED[plain]
    if found := re.fullmatch(r"timestamp\[(s|ms|us|ns)(?:,\s*(\S+))?\]", text):
        return pa.timestamp(found[1], found[2])
    if found := re.fullmatch(r"duration\[(s|ms|us|ns)\]", text):
        return pa.duration(found[1])
    if found := re.fullmatch(r"decimal\((\d+),\s*(\d+)\)", text):
        try:
            return pa.decimal128(int(found[1]), int(found[2]))
        except (ValueError, pa.ArrowInvalid) as error:
            raise SchemaError(f"{where}: type {text!r}: {error}. A decimal has 1 to 38 digits.") from error
    if found := re.fullmatch(r"(\w+)\[(\d{1,10}(?:,\s*\d{1,10}){0,31})\]", text):
        kind = type_of(found[1], where)
        for size in reversed(found[2].split(",")):
            if int(size) >= 1 << 31:
                raise SchemaError(f"{where}: type {text!r}: got a size of {int(size):,}, expected less than 2**31.")
            kind = pa.list_(kind, int(size))
        return kind
    known = [*_NAMED, *_ALIASES, "timestamp[s]", "timestamp[ns, UTC]", "duration[ns]", "decimal(10,2)", "float32[64]"]
    raise SchemaError(f"{where}: unknown type {text!r}.{did_you_mean(text, known)}")


def array_shape(kind: pa.DataType) -> tuple[tuple[int, ...], pa.DataType]:
    """Shape of one row and the element type: ``((), kind)`` for a scalar column."""
    shape = []
    while pa.types.is_fixed_size_list(kind):
        shape.append(kind.list_size)
        kind = kind.value_type
    return tuple(shape), kind


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a dataset: its type by name, and what is known or demanded of its values."""

    name: str
    type: str
    nullable: bool = True
    unit: str | None = None
    timezone: str | None = None
    description: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        where = f"schema column {self.name!r}"
        kind = type_of(self.type, where)
        if not isinstance(self.name, str) or not self.name:
            raise SchemaError(f"{where}: a column needs a name; got {self.name!r}, expected a string.")
        for bound in (self.minimum, self.maximum):
            if bound is not None and (
                isinstance(bound, bool) or not isinstance(bound, int | float) or math.isnan(bound)
            ):
                raise SchemaError(f"{where}: got bound {bound!r}, expected a number.")
        if (self.minimum is not None or self.maximum is not None) and not _is_number(array_shape(kind)[1]):
            raise SchemaError(f"{where}: minimum and maximum need a number column, got {self.type}.")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise SchemaError(f"{where}: minimum {self.minimum} is above maximum {self.maximum}.")
        if self.categories is not None:
            if self.type not in ("text", "category"):
                raise SchemaError(f"{where}: categories need a text column, got {self.type}.")
            object.__setattr__(self, "categories", tuple(str(one) for one in self.categories))

    @property
    def arrow_type(self) -> pa.DataType:
        """The Arrow type of its values."""
        return type_of(self.type)

    @property
    def checked(self) -> bool:
        """Whether its values have something to obey besides their type."""
        return not self.nullable or self.minimum is not None or self.maximum is not None or self.categories is not None


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of a dataset, in order."""

    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        double = sorted(name for name, count in Counter(names).items() if count > 1)
        if double:
            raise SchemaError(f"schema: column names must differ; got {double} more than once. Rename one.")

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        return tuple(column.name for column in self.columns)

    def __contains__(self, name: object) -> bool:
        return any(column.name == name for column in self.columns)

    def column(self, name: str) -> Column:
        """The column called ``name``.

        Raises:
            ColumnNotFoundError: no such column.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise ColumnNotFoundError(f"schema: no column {name!r}.{did_you_mean(name, self.names)}")

    def to_arrow(self) -> pa.Schema:
        """The Arrow schema."""
        return pa.schema([pa.field(column.name, column.arrow_type, column.nullable) for column in self.columns])

    @classmethod
    def from_arrow(cls, schema: pa.Schema, declared: Schema | None = None) -> Schema:
        """A Schema of these fields; units, bounds and notes come from ``declared`` where it has the column."""
        columns = []
        for field in schema:
            known = declared.column(field.name) if declared is not None and field.name in declared else None
            zone = (field.metadata or {}).get(b"timezone")
            if known is not None:
                columns.append(
                    replace(known, type=type_name(field.type), timezone=zone.decode() if zone else known.timezone)
                )
            else:
                columns.append(Column(field.name, type_name(field.type), timezone=zone.decode() if zone else None))
        return cls(tuple(columns))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for YAML or JSON; what is at its default is left out."""
        default = {one.name: one.default for one in fields(Column)}
        return {
            "columns": [
                {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(column).items()
                 if key in ("name", "type") or value != default[key]}
                for column in self.columns
            ]
        }  # fmt: skip

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any], where: str = "schema") -> Schema:
        """The Schema of ``{"columns": [{"name": ..., "type": ...}, ...]}`` or ``{"columns": {name: type}}``.

        Raises:
            SchemaError: with every problem found.
        """
        if not isinstance(raw, Mapping) or set(raw) - {"version"} != {"columns"}:
            raise SchemaError(f"{where}: got {_shown(raw)}, expected a mapping with the key 'columns'.")
        known = [one.name for one in fields(Column)]
        columns: list[Column] = []
        problems: list[str] = []
        for index, entry in enumerate(_entries(raw["columns"], where)):
            at = f"{where}: columns[{index}]"
            extra = [key for key in entry if key not in known]
            problems += [f"{at}: unknown key {key!r}.{did_you_mean(str(key), known)}" for key in extra]
            problems += [f"{at}: needs the key {key!r}." for key in ("name", "type") if key not in entry]
            if extra or not {"name", "type"} <= set(entry):
                continue
            try:
                columns.append(Column(**entry))
            except (SchemaError, TypeError, OverflowError) as error:
                problems.append(f"{at}: {error}")
        if problems:
            raise SchemaError("\n".join(problems))
        return cls(tuple(columns))

    @classmethod
    def load(cls, path: str | Path) -> Schema:
        """The Schema of a YAML file.

        Raises:
            SchemaError: unreadable, or with problems (all are listed).
        """
        try:
            raw = yaml.safe_load(Path(path).read_text("utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise SchemaError(f"{path}: can't read the schema: {error}") from error
        return cls.from_dict(raw, str(path))


def _entries(raw: Any, where: str) -> list[dict[str, Any]]:
    if isinstance(raw, Mapping):
        return [{"name": name, **(body if isinstance(body, Mapping) else {"type": body})} for name, body in raw.items()]
    if isinstance(raw, list | tuple) and all(isinstance(one, Mapping) for one in raw):
        return [dict(one) for one in raw]
    raise SchemaError(f"{where}: columns: got {_shown(raw)}, expected a list of mappings or a mapping of name to type.")


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _shown(raw: Any) -> str:
    text = repr(raw)
    return text if len(text) <= 80 else text[:77] + "..."
