"""The definition of features: a YAML file, or the same as a dict, as one frozen `FeatureSet`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path as FilePath
from typing import Any, Literal, Self, TypeVar

import yaml
from pydantic import Field, PrivateAttr, ValidationError, model_validator

from vaxseq.errors import DefinitionError, SourceError, SourceNotFoundError, did_you_mean
from vaxseq.expressions import Expression
from vaxseq.features.definition import blocks
from vaxseq.features.definition.blocks import (
    NOTES,
    DerivedColumn,
    Feature,
    Input,
    Name,
    SeriesBlock,
    Target,
    Weights,
    WindowBlock,
    plain,
)
from vaxseq.features.definition.checks import meaning_problems, order_problems, window_problems
from vaxseq.features.definition.document import Document, Path, Problem, read_yaml
from vaxseq.features.definition.graph import order_columns
from vaxseq.features.definition.packages import load_packages, package_problems
from vaxseq.features.definition.problems import as_error, problems_of
from vaxseq.features.definition.series import Series

SUFFIXES = (".yaml", ".yml", ".json")

_D = TypeVar("_D", bound="Definition")


class Definition(blocks.Block):
    """Which columns become which inputs, targets and weights, and through which steps."""

    version: Literal[1] = 1
    columns: dict[Name, DerivedColumn] = Field(default_factory=dict, description="Derived columns, in any order.")
    inputs: dict[Name, Input] = Field(min_length=1, description="The model's inputs by name.")
    targets: dict[Name, Target] = Field(default_factory=dict, description="The model's targets by name.")
    weights: Weights | None = Field(None, description="Sample weights.")
    series: SeriesBlock | None = Field(None, description="What steps that look back look back in.")
    window: WindowBlock | None = Field(None, description="Train on windows of rows.")
    packages: dict[str, str] = Field(
        default_factory=dict, description="Installed packages whose steps are used, with their versions, as '1.2'."
    )

    _document: Document | None = PrivateAttr(None)
    _where: str = PrivateAttr("definition")

    @model_validator(mode="after")
    def _meaningful(self) -> Self:
        problems = list(meaning_problems(self.columns, self.inputs))
        problems.extend(order_problems(self.inputs, self.targets, self.past is not None))
        problems.extend(window_problems(self.window, self.inputs))
        problems.extend(package_problems(self._stepped(), self.packages))
        blocks.raise_problems(problems)
        return self

    def _stepped(self) -> Iterator[tuple[Path, Any]]:
        """What goes through steps, with its place in the file."""
        yield from ((("targets", name), target) for name, target in self.targets.items())
        for name, block in self.inputs.items():
            yield from ((("inputs", name, "features", number), one) for number, one in enumerate(block.features))

    @classmethod
    def load(cls, path: str | FilePath) -> Self:
        """Reads a definition file (YAML, or JSON, which is YAML too).

        Raises:
            SourceNotFoundError: no such file.
            DefinitionError: everything that is wrong with it, each problem with its line.
        """
        path = FilePath(path)
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            near = [one.name for one in path.parent.glob("*") if one.suffix in SUFFIXES] if path.parent.is_dir() else []
            raise SourceNotFoundError(f"{path}: no such definition file.{did_you_mean(path.name, near)}") from error
        except (OSError, UnicodeDecodeError) as error:
            remedy = "A definition file is YAML. If this is the data, name it after the definition file"
            raise SourceError(f"{path}: can't be read as a UTF-8 text file; {error}. {remedy}") from error
        return cls.from_text(text, where=str(path))

    @classmethod
    def from_text(cls, text: str, *, where: str = "definition") -> Self:
        """Reads the text of a definition file; ``where`` names it in errors.

        Raises:
            DefinitionError: everything that is wrong with it, each problem with its line.
        """
        document = read_yaml(text)
        if document.data is None and document.problems:
            raise as_error(document.problems, document, where)
        if isinstance(document.data, Mapping) and "definition_fingerprint" in document.data:
            raise DefinitionError(
                f"{where}: a fitted state, expected a definition. Load it: FittedFeatures.load({where!r})"
            )
        return _read(cls, document, where)

    @classmethod
    def from_dict(cls, definition: Mapping[str, Any]) -> Self:
        """Reads a definition from plain values, in the file's own form.

        Raises:
            DefinitionError: everything that is wrong with it.
        """
        return _read(cls, Document(definition), "definition")

    def to_dict(self) -> dict[str, Any]:
        """The definition as plain values that `from_dict` reads, without what equals a default."""
        written = plain(self.model_dump(exclude_defaults=True, exclude_none=True))
        for name, column in self.columns.items():
            if not column.model_fields_set - {"expr"}:
                written["columns"][name] = column.expr.text
        return {"version": self.version, **written}

    def to_yaml(self) -> str:
        """The text of the definition file: the one that was read, comments and all, or one made from the values."""
        if self._document is not None and self._document.text is not None:
            return self._document.text
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True, width=110)

    @cached_property
    def derived(self) -> dict[str, Expression]:
        """The derived columns' expressions, each after the ones that it needs."""
        order, _ = order_columns({name: column.expr.names for name, column in self.columns.items()})
        return {name: self.columns[name].expr for name in order}

    @property
    def past(self) -> Series | None:
        """What steps that look back look back in: the series block, else the groups and the order of the windows."""
        if self.series is not None:
            return Series(self.series.group_by or (), self.series.order_by, self.series.max_gap)
        return None if self.window is None else Series(self.window.group_by or (), self.window.order_by)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of what the definition means: notes don't count, options left at their defaults do."""
        meaning = {
            "version": self.version,
            "columns": {name: column.expr.text for name, column in self.columns.items()},
            "inputs": {
                name: [one.dtype, [_meaning(feature) for feature in one.features]] for name, one in self.inputs.items()
            },
            "targets": {name: _meaning(target) for name, target in self.targets.items()},
            "weights": self.weights and _meaning(self.weights),
            "window": self.window and _meaning(self.window),
        }
        if self.series is not None:
            meaning["series"] = _meaning(self.series)
        if self.packages:
            meaning["packages"] = sorted(self.packages)
        text = json.dumps(meaning, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def error(self, problems: Sequence[Problem], kind: type[Exception] = DefinitionError) -> Exception:
        """These problems as one error, each with its place in the file."""
        return as_error(problems, self._document or Document(), self._where, kind)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Definition) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash(self.fingerprint)


def _meaning(block: blocks.Block) -> dict[str, Any]:
    """A block without its notes, with every option of its steps."""
    meaning = dict(plain(block.model_dump(exclude=set(NOTES), exclude_none=True)))
    if isinstance(block, (Feature, Target)):
        meaning["steps"] = [{step.name: plain(step.model_dump())} for step in block.steps]
    return meaning


def _read(kind: type[_D], document: Document, where: str) -> _D:
    problems = list(document.problems)
    data = document.data
    if not isinstance(data, Mapping):
        problems.append(Problem((), f"got {type(data).__name__}, expected a mapping with inputs: ..."))
        raise as_error(problems, document, where)
    if not all(isinstance(key, str) for key in data):
        problems.append(Problem((), f"keys must be text; got {[k for k in data if not isinstance(k, str)]!r}"))
        raise as_error(problems, document, where)
    problems.extend(load_packages(data.get("packages")))
    try:
        result = kind.model_validate(data)
    except ValidationError as error:
        found = [problem for one in error.errors() for problem in problems_of(one, Definition)]
        if not any(one["type"] == "problems" and not one["loc"] for one in error.errors()):
            inputs, targets = _valid(data, "inputs", Input), _valid(data, "targets", Target)
            found.extend(meaning_problems(_valid(data, "columns", DerivedColumn), inputs))
            found.extend(order_problems(inputs, targets, bool(data.get("series") or data.get("window"))))
            found.extend(window_problems(_try(WindowBlock, data.get("window")), inputs))
        problems.extend(found)
    if problems:
        raise as_error(problems, document, where)
    result._document, result._where = document, where
    return result


def _valid(data: Mapping[str, Any], key: str, kind: Any) -> dict[str, Any]:
    """The blocks under a key that are right by themselves; of an input, its right features."""
    found: dict[str, Any] = {}
    under = data.get(key)
    for name, raw in (under if isinstance(under, Mapping) else {}).items():
        if kind is Input:
            listed = raw.get("features") if isinstance(raw, Mapping) else None
            found[name] = [_try(Feature, one) for one in (listed if isinstance(listed, (list, tuple)) else [])]
        elif (block := _try(kind, raw)) is not None:
            found[name] = block
    return found


def _try(kind: Any, raw: Any) -> Any:
    try:
        return kind.model_validate(raw)
    except ValidationError:  # reported already, with its path
        return None
