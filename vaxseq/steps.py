"""What a step of one's own is made of, for packages that offer some by the entry point ``vaxseq.steps``.

A step is a frozen pydantic model: its fields are its options in a definition file. It has a ``name``, a function of
blocks (``compile``), perhaps a `Learner` for what it learns from the training rows, and perhaps a Keras form. What is
learned is JSON. ``vaxseq.testing.StepContract`` tests all that a step must keep to.
"""

from __future__ import annotations

from vaxseq.errors import FeatureTypeError, FitError
from vaxseq.expressions.values import Value, as_float, from_raw
from vaxseq.features.learners.base import Learner, Rows
from vaxseq.features.learners.counts import Counts
from vaxseq.features.learners.moments import Moments
from vaxseq.features.learners.sample import Sample
from vaxseq.features.transforms.base import CATEGORIES, NUMBERS, Apply, Learned, Step

__all__ = [
    "CATEGORIES",
    "NUMBERS",
    "Apply",
    "Counts",
    "FeatureTypeError",
    "FitError",
    "Learned",
    "Learner",
    "Moments",
    "Rows",
    "Sample",
    "Step",
    "Value",
    "as_float",
    "from_raw",
]
