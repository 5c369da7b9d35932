"""Convert any large source to a dataset that memory-maps: ``convert()``."""

from __future__ import annotations

from vaxseq.convert.inspection import inspect
from vaxseq.convert.run import convert

__all__ = ["convert", "inspect"]
