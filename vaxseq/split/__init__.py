"""Named parts of a frame's rows: random, by hash, by group, by time."""

from vaxseq.split.folds import Folds, folds
from vaxseq.split.splitting import Parts, split

__all__ = ["Folds", "Parts", "folds", "split"]
