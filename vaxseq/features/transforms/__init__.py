"""The steps of a feature, one family a file; every module of this folder is found and registers its steps."""

from __future__ import annotations

import importlib
import pkgutil

from vaxseq.features.learners.base import Learner
from vaxseq.features.transforms.base import STEPS, Step, StepProblem, parse_step, read_step
from vaxseq.features.transforms.chain import check_steps, compile_chain, compile_steps

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "STEPS",
    "Learner",
    "Step",
    "StepProblem",
    "check_steps",
    "compile_chain",
    "compile_steps",
    "parse_step",
    "read_step",
]
