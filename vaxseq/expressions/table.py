"""The allow-list's machinery: one row a function, with what it takes; nothing outside the table can be called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from vaxseq.errors import FeatureTypeError
from vaxseq.expressions.values import Kind, Value

NUMBER: tuple[Kind, ...] = ("bool", "int", "float")
ANY: tuple[Kind, ...] = ("bool", "int", "float", "datetime", "timedelta", "text")
TEXT: tuple[Kind, ...] = ("text",)
DATETIME: tuple[Kind, ...] = ("datetime",)
TIMEDELTA: tuple[Kind, ...] = ("timedelta",)
TRUTH: tuple[Kind, ...] = ("bool",)
REQUIRED = object()

Operand = Value | str  # a constant is a Value of 0-d data, or a str for text
Kernel = Callable[..., Operand]
_KernelT = TypeVar("_KernelT", bound=Callable[..., Any])

_WORDS: dict[tuple[Kind, ...], str] = {
    NUMBER: "number",
    ANY: "any",
    TEXT: "text",
    DATETIME: "datetime",
    TIMEDELTA: "timedelta",
    TRUTH: "bool",
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument: an expression of certain kinds, or (``literal`` set) a constant written in place."""

    name: str
    kinds: tuple[Kind, ...] = ()
    literal: tuple[type, ...] = ()
    default: Any = REQUIRED
    check: Callable[[Any], str | None] | None = None

    @property
    def takes(self) -> str:
        """What it takes, in a word or two."""
        if self.literal:
            return " or ".join(_LITERAL_WORDS[one] for one in self.literal) + " written in place"
        return _WORDS.get(self.kinds) or " or ".join(self.kinds)


_LITERAL_WORDS: dict[type, str] = {
    str: "a text",
    int: "an integer",
    float: "a number",
    bool: "True or False",
    tuple: "a list of constants",
}


@dataclass(frozen=True, slots=True)
class Function:
    """One row of the table. ``name`` is ``where``, ``dt.hour``, ``str.lower`` or an operator."""

    name: str
    kernel: Kernel
    parameters: tuple[Parameter, ...]
    doc: str
    group: str
    method: bool = False
    is_property: bool = False
    operator: bool = False
    vet: Callable[..., str | None] | None = None  # of all its literals together

    @property
    def signature(self) -> str:
        """How it is written."""
        names = [one.name if one.default is REQUIRED else f"{one.name}={one.default!r}" for one in self.parameters]
        space, _, last = self.name.rpartition(".")
        if self.operator:
            return (
                f"{SIGNS.get(self.name, self.name)}{names[0]}"
                if len(names) == 1
                else f"{names[0]} {self.name} {names[1]}"
            )
        if self.is_property:
            return f"{names[0]}.{space}.{last}"
        if space:
            return f"{names[0]}.{space}.{last}({', '.join(names[1:])})"
        return f"{self.name}({', '.join(names)})"


SIGNS = {"neg": "-", "pos": "+"}  # the operators of one operand whose sign is another operator's name
TABLE: dict[str, Function] = {}


def takes(name: str, kinds: tuple[Kind, ...] = NUMBER, default: Any = REQUIRED) -> Parameter:
    """A parameter that is an expression."""
    return Parameter(name, kinds, default=default)


def literal(
    name: str, *types: type, default: Any = REQUIRED, check: Callable[[Any], str | None] | None = None
) -> Parameter:
    """A parameter that must be written in place as a constant."""
    return Parameter(name, literal=types, default=default, check=check)


def function(
    name: str,
    *parameters: Parameter,
    doc: str,
    group: str,
    method: bool = False,
    is_property: bool = False,
    operator: bool = False,
    vet: Callable[..., str | None] | None = None,
) -> Callable[[_KernelT], _KernelT]:
    """Enters the decorated kernel into the table."""

    def enter(kernel: _KernelT) -> _KernelT:
        TABLE[name] = Function(name, kernel, parameters, doc, group, method, is_property, operator, vet)
        return kernel

    return enter


def kind_of(operand: Operand) -> str:
    """The operand's kind, in words for a message: "int", "text", "float array"."""
    if isinstance(operand, str):
        return "text"
    return f"{operand.kind} array" if operand.shape else operand.kind


def mismatch(what: str, *operands: Operand, remedy: str = "") -> FeatureTypeError:
    """The error for operands that don't fit each other or the function."""
    got = " and ".join(kind_of(one) for one in operands)
    return FeatureTypeError(f"{what}; got {got}.{' ' + remedy if remedy else ''}")
