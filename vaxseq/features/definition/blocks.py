"""The blocks of a definition file as frozen models: derived columns, features, inputs, targets, weights, window."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from vaxseq.errors import ExpressionError, OptionError, did_you_mean
from vaxseq.expressions import Expression, parse, text_of
from vaxseq.features.definition.document import Problem
from vaxseq.features.transforms import Step, read_step
from vaxseq.plan.window import Window, gap_of

COLUMN_KINDS = ("number", "float", "int", "bool", "text", "datetime", "timedelta")
RESERVED_INPUTS = ("target", "weight")

STEP_ITEM = {"title": "Step"}  # `schema_json` puts the steps themselves in its place

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_TYPE_NAME = re.compile(r"(float|u?int)\d+|datetime64\[\w+\]|timedelta64\[\w+\]")


def _read_expression(raw: Any) -> Expression:
    if isinstance(raw, Expression):
        return raw
    raw = text_of(raw)
    if isinstance(raw, (int, float)) and not isinstance(raw, bool):
        raw = repr(raw)
    if not isinstance(raw, str):
        raise PydanticCustomError("expression", f"got {_shown(raw)}, expected an expression. Quote it as text")
    try:
        return parse(raw, where="expression")
    except ExpressionError as error:
        what = str(error).removeprefix("expression: ")
        if raw.count("(") != raw.count(")"):
            what += " Inside {...} quote an expression that holds a comma."
        raise PydanticCustomError("expression", "{what}", {"what": what}) from error


def _read_steps(raw: Any) -> tuple[Step, ...]:
    if isinstance(raw, (str, Mapping)):
        raise PydanticCustomError("steps", f"got {_shown(raw)}, expected a list of steps. Write steps: [{_shown(raw)}]")
    if not isinstance(raw, (list, tuple)):
        raise PydanticCustomError("steps", f"got {_shown(raw)}, expected a list of steps")
    steps: list[Step] = []
    problems: list[Problem] = []
    for number, one in enumerate(raw):
        step = one if isinstance(one, Step) else read_step(one)
        if isinstance(step, Step):
            steps.append(step)
        else:
            problems.extend(Problem((number, *problem.path), problem.what) for problem in step)
    raise_problems(problems)
    return tuple(steps)


def write_step(step: Step) -> str | dict[str, Any]:
    """The step as the definition file has it: its name, or its name with the options that differ from the defaults."""
    options = plain(step.model_dump(exclude_defaults=True))
    return {step.name: options} if options else step.name


def plain(value: Any) -> Any:
    """Mappings as dicts and tuples as lists, all the way down."""
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def raise_problems(problems: list[Problem]) -> None:
    """Hands all problems to pydantic as one error, whose context `definition` takes apart again."""
    if problems:
        raise PydanticCustomError("problems", "several problems", {"problems": problems})


def _shown(raw: Any) -> str:
    text = repr(raw)
    return text if len(text) <= 60 else text[:57] + "..."


def _read_name(raw: Any) -> str:
    if not isinstance(raw, str) or not _NAME.fullmatch(raw) or len(raw) > 128:
        raise PydanticCustomError(
            "name",
            "got {got}, expected a name of letters, digits and _ that begins with a letter",
            {"got": _shown(raw)},
        )
    return raw


def _read_kind(raw: Any) -> str:
    if raw in COLUMN_KINDS or (isinstance(raw, str) and _TYPE_NAME.fullmatch(raw)):
        return str(raw)
    hint = did_you_mean(str(raw), COLUMN_KINDS)
    raise PydanticCustomError(
        "kind", "got {got}, expected a kind of column or a type as 'float32'.{hint}", {"got": _shown(raw), "hint": hint}
    )


def _read_list(raw: Any) -> Any:
    return (raw,) if isinstance(raw, str) else tuple(raw) if isinstance(raw, list) else raw


Expr = Annotated[
    Expression,
    BeforeValidator(_read_expression),
    PlainSerializer(lambda expression: expression.text, return_type=str),
    WithJsonSchema({"type": "string", "description": "An expression over columns, as wind * cos(direction)."}),
]
Steps = Annotated[
    tuple[Step, ...],
    BeforeValidator(_read_steps),
    PlainSerializer(lambda steps: [write_step(step) for step in steps], return_type=list),
    WithJsonSchema({"type": "array", "items": dict(STEP_ITEM)}),
]
Name = Annotated[str, BeforeValidator(_read_name), WithJsonSchema({"type": "string", "pattern": f"^{_NAME.pattern}$"})]
KindName = Annotated[
    str,
    BeforeValidator(_read_kind),
    WithJsonSchema(
        {"anyOf": [{"enum": list(COLUMN_KINDS)}, {"type": "string", "pattern": f"^({_TYPE_NAME.pattern})$"}]}
    ),
]
ColumnName = Annotated[str, Field(min_length=1, max_length=500)]
ColumnNames = Annotated[
    tuple[ColumnName, ...],
    Field(min_length=1),
    BeforeValidator(_read_list),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
InputNames = Annotated[
    tuple[Name, ...],
    Field(min_length=1),
    BeforeValidator(_read_list),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
DType = Literal["float16", "float32", "float64", "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"]


class Block(BaseModel):
    """A mapping of the definition file: unknown keys are refused, values don't change."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)


class Noted(Block):
    """A block that can carry notes for the people who read it; they change nothing."""

    unit: str | None = Field(None, description="Unit of the values, as 'm/s'.")
    known_when: str | None = Field(None, description="When the value is known, as 'before departure'.")
    description: str | None = Field(None, description="What it is, in a sentence.")


NOTES = frozenset(Noted.model_fields)


class DerivedColumn(Noted):
    """A named expression that features, targets and other derived columns can read."""

    expr: Expr

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, raw: Any) -> Any:
        return raw if isinstance(raw, Mapping) else {"expr": raw}


class Feature(Noted):
    """One column, an expression, or many columns at once, and the steps that each goes through."""

    column: ColumnName | None = Field(None, description="The column that it reads, physical or derived.")
    columns: ColumnNames | None = Field(None, description="Several columns, each a feature with these steps.")
    pattern: ColumnName | None = Field(None, description="All columns whose names match, as 'sensor_*'.")
    dtype: KindName | None = Field(None, description="All scalar columns of this kind, as float, or type, as float32.")
    expr: Expr | None = Field(None, description="An expression; needs a name.")
    name: ColumnName | None = Field(None, description="The feature's name; the column's own when left out.")
    exclude: ColumnNames | None = Field(None, description="Names or patterns that pattern and dtype leave out.")
    steps: Steps = ()

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        raise_problems(_source_problems(self, ("column", "columns", "pattern", "dtype", "expr")))
        return self

    @property
    def many(self) -> bool:
        """Whether it stands for several columns."""
        return self.column is None and self.expr is None


class Input(Noted):
    """One array of the model's input: a matrix of its features side by side, or one array column."""

    dtype: DType = Field("float32", description="Storage type of the input.")
    features: tuple[Feature, ...] = Field(json_schema_extra={"minItems": 1})

    @model_validator(mode="before")
    @classmethod
    def _listed(cls, raw: Any) -> Any:
        if isinstance(raw, Mapping) and isinstance(raw.get("features"), list):
            if not raw["features"]:  # checked here: pydantic counts the valid ones only
                raise_problems([Problem(("features",), "got an empty list, expected at least one feature")])
            return {**raw, "features": tuple(raw["features"])}
        return raw


class Target(Noted):
    """What the model learns to predict: numbers, or classes as 0..K-1."""

    column: ColumnName | None = None
    columns: ColumnNames | None = Field(None, description="Several columns, side by side.")
    expr: Expr | None = None
    dtype: DType | None = Field(None, description="float32, or int32 for classes, when left out.")
    classes: bool = Field(False, description="Text or whole numbers as 0..K-1 in sorted order; their names are kept.")
    steps: Steps = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = _source_problems(self, ("column", "columns", "expr"))
        if self.classes:
            if self.steps:
                problems.append(Problem(("steps",), "classes: true takes no steps. Derive a column, or leave one out"))
            if self.columns:
                problems.append(Problem(("columns",), "classes: true takes one column or expression"))
            if self.storage.startswith(("float", "bool")):
                problems.append(Problem(("dtype",), f"got {self.dtype!r}, expected an integer type for classes"))
        raise_problems(problems)
        return self

    @property
    def storage(self) -> str:
        """The target's dtype."""
        return self.dtype or ("int32" if self.classes else "float32")


class Weights(Noted):
    """The sample weights: a column or an expression."""

    column: ColumnName | None = None
    expr: Expr | None = None
    dtype: Literal["float32", "float64"] = "float32"

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        raise_problems(_source_problems(self, ("column", "expr")))
        return self


class SeriesBlock(Block):
    """Which rows follow one another, for steps that look back: those of a group, in the order of a column."""

    group_by: ColumnNames | None = Field(None, description="Columns whose change begins a new series.")
    order_by: ColumnName | None = Field(None, description="The column that orders a series; rows are in order without.")
    max_gap: str | int | float | None = Field(
        None, description="A longer gap in order_by begins a new series, as '30min'."
    )

    @model_validator(mode="after")
    def _measurable(self) -> Self:
        problems: list[Problem] = []
        if self.max_gap is not None:
            if self.order_by is None:
                problems.append(Problem(("max_gap",), "needs a column to measure. Name it in order_by"))
            try:
                gap = gap_of(self.max_gap, "max_gap")
                if not gap > type(gap)(0):
                    problems.append(Problem(("max_gap",), f"got {self.max_gap!r}, expected more than 0"))
            except OptionError as error:
                problems.append(Problem(("max_gap",), str(error).removeprefix("max_gap: ")))
        raise_problems(problems)
        return self


class WindowBlock(Block):
    """Windows over ordered rows; the options of ``vaxseq.Window``."""

    length: int = Field(ge=1, description="Rows of a window.")
    stride: int = Field(1, ge=1, description="Rows from one window's start to the next one's.")
    group_by: ColumnNames | None = Field(None, description="Columns whose change ends a series.")
    order_by: ColumnName | None = Field(None, description="The column that orders a series; rows are in order without.")
    horizon: int = Field(0, ge=0, description="Rows after the window that its target reaches ahead.")
    target: Literal["last", "mode", "mean", "sequence"] = Field("last", description="What of its rows is learned.")
    target_length: int | None = Field(
        None, ge=1, description="Rows that the target looks at, the last ones of the horizon; all of them without."
    )
    max_gap: str | int | float | None = Field(None, description="A longer gap in order_by ends a series, as '30min'.")
    min_valid: float = Field(1.0, gt=0, le=1, description="Share of a window's rows that must be there.")
    future_inputs: InputNames | None = Field(None, description="Inputs known ahead, read over the horizon's rows.")
    static_inputs: InputNames | None = Field(None, description="Inputs that don't change in a series, read once.")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        try:
            Window(**self.options())
        except OptionError as error:
            option, what = str(error).removeprefix("window ").split(": ", 1)
            raise_problems([Problem((option,), what)])
        return self

    def options(self) -> dict[str, Any]:
        """The options as plain values."""
        return dict(plain(self.model_dump()))


def _source_problems(block: Any, keys: tuple[str, ...]) -> list[Problem]:
    given = [key for key in keys if getattr(block, key) is not None]
    problems: list[Problem] = []
    if len(given) != 1:
        got = " and ".join(given) if given else "none of them"
        problems.append(Problem((), f"got {got}, expected exactly one of {', '.join(keys)}"))
    if isinstance(block, Feature) and len(given) == 1:
        if given == ["expr"] and block.name is None:
            problems.append(Problem((), "a feature made by expr needs a name. Add name: ..."))
        if block.many and block.name is not None:
            problems.append(Problem(("name",), f"a name can't stand with {given[0]}: each column keeps its own"))
        if block.exclude is not None and given[0] not in ("pattern", "dtype"):
            problems.append(Problem(("exclude",), "exclude goes with pattern or dtype only"))
    return problems
