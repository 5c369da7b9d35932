"""Any order of rows beyond memory: they are scattered over a file in the order of reading, and gathered from it."""

from vaxseq.loading.scatter.bucket_reader import BucketReader
from vaxseq.loading.scatter.sharing import Sharing
from vaxseq.loading.scatter.strategy import ReadStrategy, choose

__all__ = ["BucketReader", "ReadStrategy", "Sharing", "choose"]
