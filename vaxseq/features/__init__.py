"""Features, from top to bottom: a façade, how they are shown, served, learned, computed and declared."""

from __future__ import annotations

from vaxseq.features.definition.json_schema import json_schema
from vaxseq.features.facade import FeatureSet, FittedFeatures

__all__ = ["FeatureSet", "FittedFeatures", "json_schema"]
