"""Convert any large source to a dataset that memory-maps: ``convert()``."""

from __future__ import annotations

from vaxseq.convert.accepted_options import convert_accepting
from vaxseq.convert.compacting import compact
from vaxseq.convert.inspection import inspect
from vaxseq.convert.raw_inspection import as_arguments
from vaxseq.convert.run import convert

__all__ = ["as_arguments", "compact", "convert", "convert_accepting", "inspect"]
