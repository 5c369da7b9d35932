"""Stratified dealing: items in equal stretches, of which each group gets one of each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Strata:
    """``count`` strata of ``groups`` items each, but for the ``short`` one, which has none for ``lacking`` groups.

    It is in the middle: the groups that go without keep their mean then, where data is sorted. Source: stratified
    sampling with proportional allocation, Cochran, "Sampling techniques", 3rd ed., ch. 5.

    >>> strata = Strata.of(7, groups=3)
    >>> [(strata.first(number), strata.size(number)) for number in range(strata.count)]
    [(0, 3), (3, 1), (4, 3)]
    """

    count: int
    groups: int
    short: int
    lacking: int

    @classmethod
    def of(cls, n: int, groups: int) -> Strata:
        """Those of n items."""
        count = -(-n // groups)
        return cls(count, groups, (count - 1) // 2, count * groups - n)

    def first(self, number: int) -> int:
        """The first item of a stratum."""
        return number * self.groups - self.lacking * (number > self.short)

    def size(self, number: int) -> int:
        """How many items it has."""
        return self.groups - self.lacking * (number == self.short)
