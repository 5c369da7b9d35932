"""The definition of features: a YAML file, or the same as a dict, as one frozen `FeatureSet`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, PrivateAttr, ValidationError, model_validator

from vaxseq.display.tables import Display, Shown
from vaxseq.errors import DefinitionError, SourceError, SourceNotFoundError, did_you_mean
from vaxseq.features import blocks
from vaxseq.features.blocks import (
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
from vaxseq.features.document import Document, Path, Problem, read_yaml
from vaxseq.features.graph import order_columns
from vaxseq.features.history.history import Series

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from vaxseq.expressions import Expression
    from vaxseq.features.state import FittedFeatures

SUFFIXES = (".yaml", ".yml", ".json")


class FeatureSet(Shown, blocks.Block):
    """Which columns become which inputs, targets and weights, and through which steps.

    >>> fs = FeatureSet.from_dict(
    ...     {
    ...         "inputs": {"x": {"features": [{"column": "distance", "steps": ["log1p", "standardize"]}]}},
    ...         "targets": {"late": {"expr": "arr_delay >= 30"}},
    ...     }
    ... )
    >>> fs.inputs["x"].dtype
    'float32'
    """

    version: Literal[1] = 1
    columns: dict[Name, DerivedColumn] = Field(default_factory=dict, description="Derived columns, in any order.")
    inputs: dict[Name, Input] = Field(min_length=1, description="The model's inputs by name.")
    targets: dict[Name, Target] = Field(default_factory=dict, description="The model's targets by name.")
    weights: Weights | None = Field(None, description="Sample weights.")
    series: SeriesBlock | None = Field(None, description="What steps that look back look back in.")
    window: WindowBlock | None = Field(None, description="Train on windows of rows.")

    _document: Document | None = PrivateAttr(None)
    _where: str = PrivateAttr("definition")

    @model_validator(mode="after")
    def _meaningful(self) -> Self:
        problems = list(_meaning_problems(self.columns, self.inputs))
        problems.extend(_order_problems(self.inputs, self.targets, self.past is not None))
        problems.extend(_window_problems(self.window, self.inputs))
        blocks.raise_problems(problems)
        return self

    @classmethod
    def load(cls, path: str | FilePath) -> FeatureSet:
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
    def from_text(cls, text: str, *, where: str = "definition") -> FeatureSet:
        """Reads the text of a definition file; ``where`` names it in errors.

        Raises:
            DefinitionError: everything that is wrong with it, each problem with its line.
        """
        document = read_yaml(text)
        if document.data is None and document.problems:
            raise _error(document.problems, document, where)
        return _read(document, where)

    @classmethod
    def from_dict(cls, definition: Mapping[str, Any]) -> FeatureSet:
        """Reads a definition from plain values, in the file's own form.

        Raises:
            DefinitionError: everything that is wrong with it.
        """
        return _read(Document(definition), "definition")

    def to_dict(self) -> dict[str, Any]:
        """The definition as plain values that `from_dict` reads, without what equals a default."""
        written = plain(self.model_dump(exclude_defaults=True, exclude_none=True))
        for name, column in self.columns.items():
            if not column.model_fields_set - {"expr"}:
                written["columns"][name] = column.expr.text
        return {"version": self.version, **written}

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
        text = json.dumps(meaning, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def fit(
        self, frame: Any, *, where: str | None = None, executor: Executor | None = None, progress: bool = True
    ) -> FittedFeatures:
        """Learns from the frame's rows (of those, where ``where`` holds) what the steps need.

        Args:
            frame: a table (vaex, pandas, polars, Arrow, DuckDB, a dict of arrays) or a dataset's path.
            where: an expression that is true for the training rows; a missing answer counts as no.
            executor: any ``concurrent.futures.Executor`` to share the scan's units with; the result is the
                same to the last bit.
            progress: show a progress bar in a terminal.

        Raises:
            ColumnNotFoundError: a column of the definition isn't in the frame.
            FeatureTypeError: a step or an input can't take what reaches it.
            MissingValueError: a feature that may be missing and doesn't say what then.
            FitError: no training rows, or nothing to learn from.
        """
        from vaxseq.features.fitting import fit

        return fit(self, frame, where=where, executor=executor, progress=progress)

    def check(self, frame: Any) -> None:
        """Checks the definition against a frame's columns and their types; reads no rows.

        Args:
            frame: a table (vaex, pandas, polars, Arrow, DuckDB, a dict of arrays) or a dataset's path.

        Raises:
            DefinitionError: columns that aren't there (and whatever else is wrong).
            FeatureTypeError: steps or inputs that can't take what reaches them. All problems are listed.
        """
        from vaxseq.features.fitting import check

        check(self, frame)

    def error(self, problems: Sequence[Problem], kind: type[Exception] = DefinitionError) -> Exception:
        """These problems as one error, each with its place in the file."""
        return _error(problems, self._document or Document(), self._where, kind)

    def __repr__(self) -> str:
        return f"<FeatureSet: {self._display().title}>"

    def _display(self) -> Display:
        from vaxseq.features.summary import definition_table

        return definition_table(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FeatureSet) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash(self.fingerprint)


def _meaning(block: blocks.Block) -> dict[str, Any]:
    """A block without its notes, with every option of its steps."""
    meaning = dict(plain(block.model_dump(exclude=set(NOTES), exclude_none=True)))
    if isinstance(block, (Feature, Target)):
        meaning["steps"] = [{step.name: plain(step.model_dump())} for step in block.steps]
    return meaning


def _read(document: Document, where: str) -> FeatureSet:
    problems = list(document.problems)
    data = document.data
    if not isinstance(data, Mapping):
        problems.append(Problem((), f"got {type(data).__name__}, expected a mapping with inputs: ..."))
        raise _error(problems, document, where)
    if not all(isinstance(key, str) for key in data):
        problems.append(Problem((), f"keys must be text; got {[k for k in data if not isinstance(k, str)]!r}"))
        raise _error(problems, document, where)
    try:
        result = FeatureSet.model_validate(data)
    except ValidationError as error:
        found = [problem for one in error.errors() for problem in _problems_of(one)]
        if not any(one["type"] == "problems" and not one["loc"] for one in error.errors()):
            inputs, targets = _valid(data, "inputs", Input), _valid(data, "targets", Target)
            found.extend(_meaning_problems(_valid(data, "columns", DerivedColumn), inputs))
            found.extend(_order_problems(inputs, targets, bool(data.get("series") or data.get("window"))))
            found.extend(_window_problems(_try(WindowBlock, data.get("window")), inputs))
        problems.extend(found)
    if problems:
        raise _error(problems, document, where)
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


def _meaning_problems(columns: Mapping[str, DerivedColumn], inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """What no block can know by itself: cycles among the columns, names that stand twice."""
    _, cycle = order_columns({name: column.expr.names for name, column in columns.items()})
    if cycle:
        yield Problem(("columns", cycle[0]), f"the columns need one another: {' -> '.join(cycle)}. Break the circle")
    virtual: dict[str, str] = {}
    for name, block in inputs.items():
        if name in blocks.RESERVED_INPUTS:
            yield Problem(
                ("inputs", name),
                f"an input can't be named {name!r}: columns of targets and weights begin so. Choose another name",
            )
        for number, feature in enumerate(block.features if isinstance(block, Input) else block):
            for one in feature_names(feature) if feature is not None else ():
                path: Path = ("inputs", name, "features", number)
                here = f"{name}__{one}"
                if here in virtual:
                    yield Problem(
                        path,
                        f"the feature {one!r} is declared twice; first as {virtual[here]}. Give one of them a name",
                    )
                virtual.setdefault(here, show_path(path))


def _order_problems(inputs: Mapping[str, Any], targets: Mapping[str, Any], in_series: bool) -> Iterator[Problem]:
    """Steps that look back where they can't: after steps of a row alone, or without a series."""
    found: list[tuple[Path, Any]] = [(("targets", name), target) for name, target in targets.items()]
    for name, block in inputs.items():
        listed = block.features if isinstance(block, Input) else block
        found.extend((("inputs", name, "features", number), one) for number, one in enumerate(listed))
    for path, one in found:
        steps = one.steps if one is not None else ()
        for number, step in enumerate(steps):
            here: Path = (*path, "steps", number)
            if step.looks_back and number and not steps[number - 1].looks_back:
                what = f"{step.name!r} looks back, so it can't come after {steps[number - 1].name!r}"
                yield Problem(here, f"{what}. Put it first")
            if step.looks_back and not in_series:
                what = f"{step.name!r} looks back, but in what isn't said"
                yield Problem(here, f"{what}. Add series: {{group_by: ..., order_by: ...}} to the definition")


def _window_problems(window: WindowBlock | None, inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Inputs that the window names and that aren't there."""
    for option in ("future_inputs", "static_inputs"):
        for name in getattr(window, option, None) or ():
            if name not in inputs:
                yield Problem(("window", option), f"no input {name!r}.{did_you_mean(name, inputs)}")


def feature_names(feature: Feature) -> tuple[str, ...]:
    """The names that the feature has before any data is seen (none for pattern and dtype)."""
    if feature.name is not None:
        return (feature.name,)
    if feature.column is not None:
        return (feature.column,)
    return feature.columns or ()


_BLOCKS: dict[str, Any] = {"series": SeriesBlock, "weights": Weights, "window": WindowBlock}
_NAMED: dict[str, Any] = {"columns": DerivedColumn, "inputs": Input, "targets": Target}


def _problems_of(error: Any) -> list[Problem]:
    """One of pydantic's errors as problems in our words."""
    path, kind, got = tuple(error["loc"]), error["type"], error.get("input")
    if kind == "problems":
        return [Problem((*path, *one.path), one.what) for one in error["ctx"]["problems"]]
    if kind == "extra_forbidden":
        known = _keys_at(path[:-1])
        return [Problem(path, f"unknown key {str(path[-1])!r}.{did_you_mean(str(path[-1]), known)}")]
    if kind == "missing":
        return [Problem(path[:-1], f"the key {str(path[-1])!r} is needed here")]
    if path and path[-1] == "[key]":
        path = path[:-1]
    if kind in ("expression", "steps", "name", "kind"):
        return [Problem(path, error["msg"])]
    if kind == "literal_error":
        expected = error["ctx"]["expected"]
        words = [word.strip(" '") for word in expected.replace(" or ", ",").split(",")]
        return [Problem(path, f"got {_show(got)}, expected {expected}.{_near(got, words)}")]
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return [Problem(path, f"got {_show(got)}, expected a mapping (key: value)")]
    if kind in ("tuple_type", "list_type"):
        return [Problem(path, f"got {_show(got)}, expected a list")]
    if kind == "bool_type":
        return [Problem(path, f"got {_show(got)}, expected true or false")]
    if kind == "too_short":
        return [Problem(path, "got nothing, expected at least one entry")]
    message = error["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return [Problem(path, f"got {_show(got)}, expected {message}")]


def _near(got: Any, words: list[str]) -> str:
    hint = did_you_mean(str(got), words)
    return hint if hint.startswith(" Did") else ""


def _keys_at(path: Path) -> list[str]:
    model: Any = FeatureSet
    if path:
        model = _BLOCKS.get(str(path[0])) or _NAMED[str(path[0])]
        if len(path) > 2 and path[2] == "features":
            model = Feature
    return list(model.model_fields)


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def show_path(path: Path) -> str:
    """A path as a person writes it: ``inputs.numeric.features[2].steps[0]``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _error(
    problems: Sequence[Problem], document: Document, where: str, kind: type[Exception] = DefinitionError
) -> Exception:
    found = {
        (problem.line or document.line(problem.path) or 0, show_path(problem.path), problem.what): None
        for problem in problems
    }
    lines = []
    for line, path, what in sorted(found, key=lambda one: one[0]):
        place = f"{where}:{line}" if line else where
        lines.append(f"{place} {path}: {what}" if path else f"{place}: {what}")
    return kind("\n".join(lines))
