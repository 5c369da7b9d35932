"""A definition to begin with, drafted from what the data holds."""

from __future__ import annotations

from vaxseq.report.drafting.draft import draft

__all__ = ["draft"]
