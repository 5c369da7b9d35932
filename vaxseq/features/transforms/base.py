"""What every step is: options, what it learns, its NumPy program, its Keras form.

A step turns a column's block into another, row by row. Its fields are the options of the definition
file; what it learns from the training rows is a plain JSON-able dict, kept apart from the options.

One feature is a chain of steps. A step may also give a *side column* (the missing indicator of
``impute``), made from the step's input: it goes past the later steps, untouched, and stands after the
chain's own value in the feature, so ``[impute with indicator, standardize]`` is (value, indicator).

Serving: a Keras layer can't hold text or dates. A step with an `encode` runs that part in NumPy
(text to codes, a date to its parts) and gives the layer the result; `keras` goes on from there. In a
chain the last step with an `encode` is the boundary: everything before it runs in NumPy.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from vaxseq.errors import DefinitionError, FeatureTypeError, did_you_mean
from vaxseq.expressions.values import Kind, Value
from vaxseq.features.learners.base import Learner

Learned = Mapping[str, Any]
Apply = Callable[[Value], Value]
Missing = Literal["keeps", "handles", "makes"]

NUMBERS: frozenset[Kind] = frozenset({"bool", "int", "float"})
CATEGORIES: frozenset[Kind] = frozenset({"bool", "int", "text"})

STEPS: dict[str, type[Step]] = {}


class Step(BaseModel):
    """One step of a feature; its fields are its options in the definition file."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: ClassVar[str] = ""
    accepts: ClassVar[frozenset[Kind]] = NUMBERS
    missing_rule: ClassVar[Missing] = "keeps"
    short: ClassVar[str | None] = None  # the option that `{step: value}` means when value isn't a mapping
    invertible: ClassVar[bool] = False
    looks_back: ClassVar[bool] = False  # at earlier rows of the series; all other steps see a row alone
    docs: ClassVar[str] = ""  # what it does, one line
    learns: ClassVar[str] = "–"
    width: ClassVar[str] = "as given"
    on_missing: ClassVar[str] = "stays missing"

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if cls.__dict__.get("name"):
            STEPS[cls.name] = cls

    @property
    def sees_missing(self) -> Missing:
        """keeps: missing stays missing; handles: nothing is missing after; makes: may add missing values."""
        return self.missing_rule

    @property
    def fills(self) -> bool:
        """Whether the step only puts ``learned["fill"]`` where a value is missing."""
        return False

    def learner(self) -> Learner | None:
        """A fresh learner, or None when there is nothing to learn."""
        return None

    @abstractmethod
    def compile(self, learned: Learned) -> Apply:
        """The step's function of blocks; whatever can be made ready from ``learned`` is made here, once."""

    def apply(self, value: Value, learned: Learned) -> Value:
        """The step of one block."""
        self.check_kind(value)
        return self.compile(learned)(value)

    def placeholder(self, value: Value) -> dict[str, Any]:
        """Learned values that let zero rows through before anything is learned, for type checks."""
        return {}

    def side(self, learned: Learned) -> Apply | None:
        """The function from the step's input to its side column, if it has one."""
        return None

    def labels(self, learned: Learned) -> tuple[str, ...] | None:
        """What the columns that it makes are called, after the feature's name; None if it makes none of its own."""
        return None

    def encode(self, learned: Learned) -> Apply | None:
        """The part that runs before the Keras layer, or None when the layer can do all of the step."""
        return None

    def keras(self, ops: Any, x: Any, learned: Learned) -> Any:
        """The step in keras.ops. ``x``: float32 (batch, ...), NaN where missing, or what `encode` gives.

        Raises:
            FeatureTypeError: the step has no Keras form.
        """
        raise FeatureTypeError(
            f"step {self.name!r}: has no Keras form. Run it before the model: fitted.transform_records."
        )

    def keras_side(self, ops: Any, x: Any, learned: Learned) -> Any:
        """The side column in keras.ops, from the step's input."""
        raise FeatureTypeError(f"step {self.name!r}: has no side column")

    def float32_loss(self, learned: Learned) -> float:
        """How many times over the rounding of its input to float32 shows in its output, at most; 0: no more than that.

        A rounding is 2^-24 of the input; the output is taken to be of the size of 1.
        """
        return 0.0

    def float32_gain(self, learned: Learned) -> float:
        """How many times over an absolute error of its input shows in its output, at most."""
        return 1.0

    def float32_problem(self, learned: Learned) -> str | None:
        """Why float32 can't hold this step's numbers (a sentence with a remedy), or None."""
        return None

    def inverse(self, array: npt.NDArray[np.float64], learned: Learned) -> npt.NDArray[np.float64]:
        """The step undone, for predictions of a scaled target.

        Raises:
            FeatureTypeError: the step can't be undone.
        """
        raise FeatureTypeError(f"step {self.name!r}: can't be undone, so a target with it has no inverse")

    def check_kind(self, value: Value) -> None:
        """Raises FeatureTypeError when the step can't take this kind of column."""
        if value.kind not in self.accepts:
            wanted = " or ".join(sorted(self.accepts))
            raise FeatureTypeError(f"step {self.name!r}: can't take this column; got {value.kind}, expected {wanted}")


@dataclass(frozen=True, slots=True)
class StepProblem:
    """What is wrong with a step in a definition file; ``path`` goes on from the step's own path."""

    path: tuple[str | int, ...]
    what: str


def read_step(raw: Any) -> Step | list[StepProblem]:
    """The step that ``name`` or ``{name: options}`` means, or all that is wrong with it."""
    if isinstance(raw, str):
        name: Any = raw
        options: Any = {}
    elif isinstance(raw, Mapping) and len(raw) == 1:
        name, options = next(iter(raw.items()))
        options = {} if options is None else options
    else:
        return [StepProblem((), f"a step is a name or {{name: options}}; got {raw!r:.80}")]
    kind = STEPS.get(name) if isinstance(name, str) else None
    if kind is None:
        return [StepProblem((), f"unknown step {name!r:.80}.{did_you_mean(str(name), STEPS)}")]
    if not isinstance(options, Mapping):
        if kind.short is None:
            return [StepProblem((name,), f"options of {name!r}: got {options!r:.80}, expected a mapping of options")]
        options = {kind.short: options}
    try:
        return kind.model_validate(dict(options))
    except ValidationError as error:
        return [_problem(kind, one) for one in error.errors()]


def parse_step(raw: Any, where: str) -> Step:
    """The step that ``name`` or ``{name: options}`` means.

    >>> parse_step({"round": {"decimals": 1}}, "features.yaml")
    Round(decimals=1)

    Raises:
        DefinitionError: an unknown step or wrong options, all of them listed, each beginning with ``where``.
    """
    step = read_step(raw)
    if isinstance(step, Step):
        return step
    lines = ["".join([where, *(f".{part}" for part in one.path), f": {one.what}"]) for one in step]
    raise DefinitionError("\n".join(lines))


def _problem(kind: type[Step], error: Any) -> StepProblem:
    path = (kind.name, *error["loc"])
    if error["type"] == "extra_forbidden":
        option = str(error["loc"][-1])
        return StepProblem(path[:-1], f"unknown option {option!r}.{did_you_mean(option, kind.model_fields)}")
    if error["type"] == "missing":
        return StepProblem(path[:-1], f"option {error['loc'][-1]!r} is needed")
    what = error["msg"].removeprefix("Value error, ")
    return StepProblem(path, f"{what[:1].lower()}{what[1:]}; got {error['input']!r:.80}")
