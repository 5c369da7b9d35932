"""A step of a user's package: what lies beyond learned quantiles is drawn in to them."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from vaxseq.steps import Apply, Learned, Learner, Sample, Step, Value, as_float


class Winsorize(Step):
    """Values beyond the ``share`` of each end become the quantile there."""

    name: ClassVar[str] = "winsorize"
    short: ClassVar[str | None] = "share"
    docs: ClassVar[str] = "values beyond the `share` of each end become the quantile there"
    learns: ClassVar[str] = "lower, upper"

    share: Annotated[float, Field(gt=0, lt=0.5)] = 0.05

    def learner(self) -> Learner:
        return _Ends(self.share)

    def placeholder(self, value: Value) -> dict[str, Any]:
        return {"lower": 0.0, "upper": 0.0}

    def compile(self, learned: Learned) -> Apply:
        lower, upper = learned["lower"], learned["upper"]
        return lambda value: Value(np.clip(as_float(value).data, lower, upper))

    def keras(self, ops: Any, x: Any, learned: Learned) -> Any:
        return ops.clip(x, np.float32(learned["lower"]), np.float32(learned["upper"]))


class _Ends(Sample):
    def __init__(self, share: float) -> None:
        super().__init__((share, 1 - share))

    def finish(self) -> dict[str, Any]:
        lower, upper = super().finish()["quantiles"]
        return {"lower": lower, "upper": upper}
