"""Delimited text ("a|b|c") to one column of 0/1 for each token."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from vaxseq.errors import FitError
from vaxseq.expressions.values import Kind, Value
from vaxseq.features.learners.base import Learner
from vaxseq.features.learners.counts import TokenCounts, split_tokens, text_codes
from vaxseq.features.transforms.base import Apply, Learned
from vaxseq.features.transforms.categorical import (
    FIRST_CODE,
    MISSING_CODE,
    ONE_HOT_WIDTH,
    UNSEEN_CODE,
    Limited,
    frequent,
)
from vaxseq.features.transforms.lookup import Lookup


class MultiHot(Limited):
    """One column for missing, one for unseen tokens, then one for each token by count."""

    name: ClassVar[str] = "multi_hot"
    accepts: ClassVar[frozenset[Kind]] = frozenset({"text"})
    docs: ClassVar[str] = (
        "delimited text to columns of 0/1: missing, unseen, then each token by count; `delimiter` is |"
    )
    learns: ClassVar[str] = "values, counts, distinct"
    width: ClassVar[str] = "tokens + 2"
    on_missing: ClassVar[str] = "its own column"

    delimiter: str = Field(default="|", min_length=1)
    strip: bool = True

    def learner(self) -> Learner | None:
        return _FrequentTokens(self.delimiter, self.strip, self.max_size, self.min_count)

    def labels(self, learned: Learned) -> tuple[str, ...] | None:
        return ("missing", "unseen", *(str(one) for one in learned["values"]))

    def compile(self, learned: Learned) -> Apply:
        lookup = Lookup(self.name, learned["values"], UNSEEN_CODE, FIRST_CODE, MISSING_CODE)
        width = len(learned["values"]) + FIRST_CODE

        def run(value: Value) -> Value:
            places, texts = text_codes(value.data)
            if len(texts) > len(places):  # a long dictionary: split only what this block holds
                used, places = np.unique(places, return_inverse=True)
                gone = int(used[0] < 0) if len(used) else 0
                texts = texts.take(pa.array(used[gone:]))
                places = places.reshape(-1).astype(np.int64) - gone
            rows = np.zeros((len(texts) + 1, width))
            rows[-1, MISSING_CODE] = 1.0  # place -1
            parents, tokens = split_tokens(texts, self.delimiter, self.strip)
            rows[parents, _codes(lookup, tokens)] = 1.0
            return Value(np.take(rows, places, axis=0))

        return run

    def encode(self, learned: Learned) -> Apply | None:
        return self.compile(learned)

    def keras(self, ops: Any, x: Any, learned: Learned) -> Any:
        return x


def _codes(lookup: Lookup, tokens: pa.Array) -> npt.NDArray[np.int64]:
    codes: npt.NDArray[np.int64] = lookup(Value(tokens)).data
    return codes


class _FrequentTokens(TokenCounts):
    def __init__(self, delimiter: str, strip: bool, max_size: int | None, min_count: int) -> None:
        super().__init__(delimiter, strip, "Set another delimiter, or use the step hash on the whole text.")
        self.max_size = max_size
        self.min_count = min_count

    def finish(self) -> dict[str, Any]:
        try:
            return frequent(self, self.max_size, self.min_count, ONE_HOT_WIDTH)
        except FitError:
            if self.rows > self.missing and not self.tables:  # texts without a single token
                return {"values": [], "counts": [], "distinct": 0}
            raise
