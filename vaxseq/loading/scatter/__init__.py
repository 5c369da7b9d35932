"""Any order of rows beyond memory: they are scattered over a file in the order of reading, and gathered from it."""

from vaxseq.loading.scatter.choice import Way, choose
from vaxseq.loading.scatter.scattered import Scattered

__all__ = ["Scattered", "Way", "choose"]
