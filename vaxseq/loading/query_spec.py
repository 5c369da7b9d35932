"""A query for other processes: a description of what to open and to compute, never an open frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vaxseq.frame import FrameSpec
from vaxseq.loading.query import Query
from vaxseq.loading.readers.frame import FrameReader
from vaxseq.loading.readers.ranges import Rounding


@dataclass(frozen=True, slots=True)
class QuerySpec:
    """The frame, the features and what was warned of; which rows are read is said with each unit of work."""

    spec: FrameSpec
    fitted: Any
    plain: tuple[Any, Any, Any]
    rounding: Rounding

    @classmethod
    def of(cls, served: Query) -> QuerySpec:
        """For what is served."""
        return cls(served.source.spec(), served.fitted, served.plain, served.rounding)

    def query(self) -> Query:
        """The same frame and recipe; its index is of all rows."""
        inputs, targets, sample_weight = self.plain
        # rows=: not all of them may be asked for, so that what columns are known to hold elsewhere is no error
        query = Query(
            self.spec.frame(), self.fitted, inputs=inputs, targets=targets, sample_weight=sample_weight,
            rows=slice(None),
        )  # fmt: skip
        query.rounding = self.rounding
        return query

    def reader(self) -> FrameReader:
        """What reads the rows."""
        query = self.query()
        return FrameReader(query.source, query.recipe, query.rounding)
