"""Train Keras on data larger than memory.

A feature-definition file turns columns into vaex virtual columns, and a Sequence turns those into batches:

* A feature is a function from columns and fitted state to one fixed-width virtual column (scalar or array).
* A Sequence is a function from (epoch, batch index) to arrays.

Names are resolved when they are first used, so that ``import vaxseq`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Public name -> the module that holds it; a room's line is added when the room is there.
_EXPORTS = {
    "VaxseqError": "vaxseq.errors",
}

__all__ = sorted(_EXPORTS)  # noqa: PLE0605  one table says it all; type checkers read __getattr__


def __getattr__(name: str) -> Any:
    """Import a public name from its room, once."""
    if name not in _EXPORTS:
        raise AttributeError(f"module 'vaxseq' has no attribute {name!r}")
    value = getattr(import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
