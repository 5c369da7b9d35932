"""The errors that vaxseq raises, each also a subclass of the natural builtin.

```text
VaxseqError
├── SourceError(OSError)               a source can't be read
│   └── SourceNotFoundError(FileNotFoundError)
├── BadRowError(ValueError)            a row doesn't fit its schema
├── SchemaError(ValueError)            a schema, or a type that a target can't hold
├── DatasetError(ValueError)           a dataset is damaged, changed, locked or half there
├── ColumnNotFoundError(KeyError)      no such column
├── ExpressionError(ValueError)        an expression that isn't allowed or doesn't fit its columns
├── DefinitionError(ValueError)        a feature-definition file
├── FeatureTypeError(TypeError)        a step or an input met a type that it can't take
├── MissingValueError(ValueError)      a missing value where none may be
├── FitError(ValueError)               nothing to learn from, or too much
├── StateError(ValueError)             fitted state that doesn't fit
├── SelectionError(ValueError)         rows, splits, windows: empty or contradictory
├── OptionError(ValueError)            an option's value
├── StoreError(ValueError)             a packed store that is stale, foreign or damaged
├── ScratchError(OSError)              a shuffle's scratch files: no room, or a disk that fails
├── PositionError(ValueError)          a training position that doesn't fit
├── AugmentError(RuntimeError)         a user's augmentation function failed
└── MissingExtraError(ImportError)     an optional dependency isn't installed
```

A message says where, what, and what to do: ``where: what; got X, expected Y. Remedy.``
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any


class VaxseqError(Exception):
    """Base of every error that vaxseq raises on purpose.

    ``options`` are what to pass to the call that raised it so that it goes on, where that can be told; ``lossless``
    says whether they lose nothing that was written and leave no other reading.
    """

    def __init__(self, *args: object, options: Mapping[str, Any] | None = None, lossless: bool = True) -> None:
        super().__init__(*args)
        self.options: dict[str, Any] = dict(options or {})
        self.lossless = lossless

    def __str__(self) -> str:  # KeyError's repr-quoting would garble a sentence
        return printable(str(self.args[0])) if self.args else ""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in a notebook: the message, and the user's own lines that led to it.

        ``traceback.print_last()`` prints the whole traceback.
        """
        notes = getattr(self, "__notes__", [])
        places = [*_own_lines(self), *(_own_lines(self.__cause__) if isinstance(self, AugmentError) else [])]
        return [f"{type(self).__name__}: {self}", *notes, *(f"  at {place}" for place in places)]


def _own_lines(error: BaseException | None) -> Iterator[str]:
    """The lines of a traceback that are neither ours nor a package's."""
    import sysconfig
    import traceback
    from pathlib import Path

    paths = sysconfig.get_paths()
    others = (str(Path(__file__).parent), paths["purelib"], paths["platlib"], paths["stdlib"], "<frozen")
    for frame in traceback.extract_tb(error.__traceback__ if error is not None else None):
        if not frame.filename.startswith(others):
            cell = "ipykernel" in frame.filename or frame.filename.startswith("<ipython")
            yield f"{'line ' if cell else f'{frame.filename}:'}{frame.lineno}: {frame.line}"


def warn(message: str) -> None:
    """A ``UserWarning`` at the line of the user's that led here, not at one of ours."""
    import inspect
    import warnings

    frame, level = inspect.currentframe(), 1
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "vaxseq":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, UserWarning, stacklevel=level)


class SourceError(VaxseqError, OSError):
    """A source can't be read."""


class SourceNotFoundError(SourceError, FileNotFoundError):
    """A file, folder, table or URL isn't there."""


class BadRowError(VaxseqError, ValueError):
    """A row of a source doesn't fit the schema."""


class SchemaError(VaxseqError, ValueError):
    """A schema is wrong, or a target can't hold one of its types."""


class DatasetError(VaxseqError, ValueError):
    """A dataset is damaged, changed, locked or incomplete."""


class ColumnNotFoundError(VaxseqError, KeyError):
    """A column isn't in the data."""


class ExpressionError(VaxseqError, ValueError):
    """An expression isn't allowed, or doesn't fit the columns it names."""


class DefinitionError(VaxseqError, ValueError):
    """A feature-definition file has problems; the message lists all of them."""


class FeatureTypeError(VaxseqError, TypeError):
    """A step, an input or a target met a type that it can't take."""


class MissingValueError(VaxseqError, ValueError):
    """A missing value reached a place where none may be."""


class FitError(VaxseqError, ValueError):
    """There is nothing to learn from, or more than a step can hold."""


class StateError(VaxseqError, ValueError):
    """Fitted state doesn't fit its definition, its data or this version."""


class SelectionError(VaxseqError, ValueError):
    """A selection of rows is empty or contradicts itself."""


class OptionError(VaxseqError, ValueError):
    """An option has a value that it can't take."""


class StoreError(VaxseqError, ValueError):
    """A packed store is stale, damaged or made from something else."""


class ScratchError(VaxseqError, OSError):
    """Scratch files of a shuffle can't be written: a full disk, or one that fails."""


class PositionError(VaxseqError, ValueError):
    """A saved training position doesn't fit this Sequence."""


class AugmentError(VaxseqError, RuntimeError):
    """A user's augmentation function failed."""


class MissingExtraError(VaxseqError, ImportError):
    """An optional dependency isn't installed; the message names the extra."""


# what moves a terminal's cursor, changes its state, or shows text in another order than it has
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def printable(text: str) -> str:
    r"""The text with its control characters written out; line ends and tabs stay.

    >>> print(printable("a\x1b[31mred"))
    a\x1b[31mred
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence that names the nearest known name, or lists a few; empty when there is none.

    >>> did_you_mean("standardise", ["standardize", "min_max"])
    " Did you mean 'standardize'?"
    """
    names = [str(one) for one in known]
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f" Did you mean {near[0]!r}?"
    if not names:
        return ""
    shown = ", ".join(sorted(names)[:12]) + (", ..." if len(names) > 12 else "")
    return f" Known: {shown}."
