"""Is it the data? Where a batch's time goes, and what to do about it."""

from __future__ import annotations

from vaxseq.profile.measurement import Advice, Stage
from vaxseq.profile.profiling import profile
from vaxseq.profile.result import Profile

__all__ = ["Advice", "Profile", "Stage", "profile"]
