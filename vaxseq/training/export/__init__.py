"""Out to where models run: one file in another format, checked record by record against Keras as it is written."""

from __future__ import annotations

from vaxseq.training.export.exporting import Exported, export

__all__ = ["Exported", "export"]
