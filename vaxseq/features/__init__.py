"""Features: a definition file, what a fit learns for it, and one program that applies it everywhere."""

from __future__ import annotations

from vaxseq.features.definition import FeatureSet
from vaxseq.features.schema_json import json_schema
from vaxseq.features.state import FittedFeatures

__all__ = ["FeatureSet", "FittedFeatures", "json_schema"]
