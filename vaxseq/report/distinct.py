"""How many distinct values a column has, and its commonest ones, in bounded memory."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

KEPT = 4096
_ALL = float(2**64)

Hashes = npt.NDArray[np.uint64]


@dataclass
class Distinct:
    """The least ``KEPT`` of the values' hashes: exact up to that many distinct values, an estimate beyond.

    Source: Bar-Yossef, Jayram, Kumar, Sivakumar, Trevisan 2002, doi:10.1007/3-540-45726-7_1; the unbiased form of
    Beyer, Haas, Reinwald, Sismanis, Gemulla 2007, doi:10.1145/1247480.1247504.
    """

    hashes: Hashes = field(default_factory=lambda: np.empty(0, np.uint64))

    def add(self, hashes: Hashes) -> None:
        """Takes the hashes of values, equal ones as often as they like."""
        if len(self.hashes) == KEPT:
            hashes = hashes[hashes < self.hashes[-1]]
        if len(hashes):
            self.hashes = np.unique(np.concatenate([self.hashes, np.unique(hashes)]))[:KEPT].copy()

    @property
    def exact(self) -> bool:
        return len(self.hashes) < KEPT

    @property
    def estimate(self) -> int:
        """The number of distinct values."""
        if self.exact:
            return len(self.hashes)
        return round((KEPT - 1) / (float(self.hashes[-1]) / _ALL))

    @property
    def error(self) -> float:
        """The estimate's relative standard error: 0 when exact."""
        return 0.0 if self.exact else 1 / math.sqrt(KEPT - 2)

    def shared_with(self, other: Distinct) -> float:
        """The share of this column's distinct values that the other has too, by the hashes below both limits."""
        limit = min((one.hashes[-1] for one in (self, other) if not one.exact), default=np.uint64(2**64 - 1))
        mine = self.hashes[self.hashes <= limit]
        return float(np.isin(mine, other.hashes, assume_unique=True).mean()) if len(mine) else 0.0


@dataclass
class Tops:
    """The commonest texts. Counts are exact until there are more than ``most`` of them, and then at most ``error`` low.

    Source: Misra and Gries 1982, doi:10.1016/0167-6423(82)90012-0; merged as Agarwal et al. 2013,
    doi:10.1145/2500128, by taking the greatest count left out from all.
    """

    most: int = 4096
    error: int = 0
    values: pa.Array = field(default_factory=lambda: pa.array([], pa.large_string()))
    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def add(self, values: pa.Array, counts: npt.NDArray[np.int64]) -> None:
        """Takes distinct texts and how often each came."""
        texts = pa.chunked_array([self.values, values.cast(pa.large_string())])
        table = pa.table({"value": texts, "count": np.concatenate([self.counts, counts])})
        table = table.group_by("value", use_threads=False).aggregate([("count", "sum")])
        found, total = table.column("value").combine_chunks(), table.column("count_sum").to_numpy()
        if len(total) > self.most:
            lost = int(np.partition(total, len(total) - self.most - 1)[len(total) - self.most - 1])
            keep = total > lost
            found, total = found.filter(pa.array(keep)), total[keep] - lost
            self.error += lost
        self.values, self.counts = _plain(found), total.copy()

    def top(self, n: int) -> list[tuple[str, int]]:
        """The n commonest, equals in order of text."""
        table = pa.table({"value": self.values, "count": self.counts})
        order = pc.sort_indices(table, sort_keys=[("count", "descending"), ("value", "ascending")])[:n]
        table = table.take(order)
        return list(zip(table.column("value").to_pylist(), table.column("count").to_pylist(), strict=True))


def _plain(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array
