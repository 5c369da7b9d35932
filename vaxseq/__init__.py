"""Train Keras on data larger than memory.

A feature-definition file turns columns into vaex virtual columns, and a Sequence turns those into batches:

* A feature is a function from columns and fitted state to one fixed-width virtual column (scalar or array).
* A Sequence is a function from (epoch, batch index) to arrays.

Names are resolved when they are first used, so that ``import vaxseq`` costs nothing.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what editors and type checkers see of the table below
    from vaxseq.convert import compact as compact
    from vaxseq.convert import convert as convert
    from vaxseq.convert import inspect as inspect
    from vaxseq.dataset.manifest import Manifest as Manifest
    from vaxseq.dataset.verifying import verify as verify
    from vaxseq.errors import VaxseqError as VaxseqError
    from vaxseq.features import FeatureSet as FeatureSet
    from vaxseq.features import FittedFeatures as FittedFeatures
    from vaxseq.frame import open as open
    from vaxseq.plan.window import Window as Window
    from vaxseq.profile import Profile as Profile
    from vaxseq.profile import profile as profile
    from vaxseq.report.drafting import draft as draft
    from vaxseq.report.exploration import Exploration as Exploration
    from vaxseq.report.exploration import explore as explore
    from vaxseq.report.reporting import report as report
    from vaxseq.split import folds as folds
    from vaxseq.split import split as split
    from vaxseq.store import materialize as materialize
    from vaxseq.training.export import export as export
    from vaxseq.training.layer import FittedLayer as FittedLayer
    from vaxseq.training.resume import ResumeTraining as ResumeTraining
    from vaxseq.training.sequence import Sequence as Sequence

__version__ = "0.1.0"

# Public name -> the module that holds it.
_EXPORTS = {
    "Exploration": "vaxseq.report.exploration",
    "FeatureSet": "vaxseq.features",
    "FittedFeatures": "vaxseq.features",
    "FittedLayer": "vaxseq.training.layer",
    "Manifest": "vaxseq.dataset.manifest",
    "Profile": "vaxseq.profile",
    "ResumeTraining": "vaxseq.training.resume",
    "Sequence": "vaxseq.training.sequence",
    "VaxseqError": "vaxseq.errors",
    "Window": "vaxseq.plan.window",
    "compact": "vaxseq.convert",
    "convert": "vaxseq.convert",
    "draft": "vaxseq.report.drafting",
    "explore": "vaxseq.report.exploration",
    "export": "vaxseq.training.export",
    "folds": "vaxseq.split",
    "inspect": "vaxseq.convert",
    "materialize": "vaxseq.store",
    "open": "vaxseq.frame",
    "profile": "vaxseq.profile",
    "report": "vaxseq.report.reporting",
    "split": "vaxseq.split",
    "verify": "vaxseq.dataset.verifying",
}

__all__ = sorted(_EXPORTS)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    """Import a public name from its room, once."""
    if name not in _EXPORTS:
        from vaxseq.errors import did_you_mean

        hint = "" if name.startswith("_") else did_you_mean(name, __all__)
        raise AttributeError(f"module 'vaxseq' has no attribute {name!r}.{hint}")
    value = getattr(import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


def _layer(*arguments: Any, **options: Any) -> Any:
    """The Keras layer of fitted features; features know no Keras, so what they delegate to it is put in here."""
    return __getattr__("FittedLayer")(*arguments, **options)


class _Package(ModuleType):
    """Puts rooms together as they are imported.

    It keeps a public function from being hidden by the room of its name, as ``vaxseq.convert`` by that module.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "features":
            value.FittedFeatures._layer = staticmethod(_layer)
        if not (name in _EXPORTS and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
