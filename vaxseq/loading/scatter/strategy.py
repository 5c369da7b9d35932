"""How a plan's rows are brought into their order: from memory, by a scatter, or one by one from the disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from vaxseq.dataset.memory_limit import memory_room
from vaxseq.errors import ScratchError
from vaxseq.loading.scatter.folder import Scratch, room, scratch_folder
from vaxseq.loading.scatter.kept_blocks import kept_bytes
from vaxseq.loading.scatter.piece_layout import PLACE_BYTES, PieceLayout
from vaxseq.loading.scatter.sizes import Sizes
from vaxseq.loading.scatter.source import ItemReader
from vaxseq.plan.inverse_order import InverseOrder
from vaxseq.plan.plan import BatchPlan
from vaxseq.plan.rows import RowIndex

Kind = Literal["memory", "in order", "in blocks", "scattered", "one by one"]

_MOST_PARTS = 16
_BUFFER_BYTES = 256 << 20
_SHARDS_IN_MEMORY = 4


class FileReader(ItemReader, Protocol):
    """A reader that tells whether it reads from files that memory can't hold.

    ``worth_keeping``: whether what it read is quicker to read again from a file of its own, row by row.
    """

    @property
    def from_files(self) -> bool: ...

    @property
    def worth_keeping(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class ReadStrategy:
    """The way that was chosen. ``folder`` gets ``scratch_bytes``; an epoch is scattered in so many ``parts``.

    Blocks are read by columns, and kept in the folder for the next epochs, if there is one.
    """

    kind: Kind
    why: str = ""
    folder: Path | None = None
    scratch_bytes: int = 0
    parts: int = 1
    sizes: Sizes | None = None

    def __str__(self) -> str:
        if self.kind == "scattered":
            again = "" if self.parts == 1 else f" in {self.parts} parts, the data is read for each"
            return f"scattered over {self.scratch_bytes / 1e9:.2f} GB of scratch in {self.folder}{again}"
        if self.kind == "in blocks" and self.folder is not None:
            return f"by blocks, read ahead, then from {self.scratch_bytes / 1e9:.2f} GB of scratch in {self.folder}"
        words = {
            "memory": "from memory",
            "in order": "in the data's order, read ahead",
            "in blocks": "by blocks, read ahead",
            "one by one": f"row by row from the disk: {self.why}",
        }
        return words[self.kind]


def choose(reader: FileReader, index: RowIndex, plan: BatchPlan, scratch: Scratch) -> ReadStrategy:
    """The way for a plan over a reader's rows.

    Raises:
        ScratchError: a folder that was asked for can't take an epoch, nor a part of it.
    """
    if not reader.from_files:
        return ReadStrategy("memory")
    if plan.shuffle == "block":
        return _in_blocks(reader, index, plan, scratch)
    if plan.shuffle is False and (index.ascending or plan.resampling is not None):
        return ReadStrategy("in order")
    folder, why = scratch_folder(scratch)
    if folder is None:
        return ReadStrategy("one by one", why)
    rows, fields = InverseOrder(plan).count, [array.nbytes for array in reader.empty(1)]
    sizes = Sizes.of(rows, sum(fields) + PLACE_BYTES, memory_room())
    layout = PieceLayout.of(fields, sizes.piece_bytes, sizes.bucket_rows)
    need, free = layout.file_bytes(rows, sizes.bucket_rows), room(folder)
    parts = -(-need // max(1, free)) if need > free else 1
    if parts > 1:  # the part before is still being served when the next one is scattered
        parts = -(-2 * need // max(1, free))
    if parts > min(_MOST_PARTS, max(1, rows)):
        why = f"{folder} has {free / 1e9:.2f} GB free of the {need / 1e9:.2f} GB that an epoch takes"
        if scratch != "auto":
            raise ScratchError(
                f"scratch: {why}. Make room, name another folder (scratch= or VAXSEQ_SCRATCH), "
                'shuffle="block", or read directly: scratch=None.'
            )
        return ReadStrategy("one by one", why)
    if parts > 1:
        sizes = Sizes.of(-(-rows // parts), sum(fields) + PLACE_BYTES, memory_room())
    return ReadStrategy("scattered", "", folder, -(-need // parts), parts, sizes)


def in_buffers(reader: FileReader, index: RowIndex, plan: BatchPlan) -> bool:
    """Whether a block shuffle reads whole buffers in order: when they are small, and most of what is read is wanted.

    A rank of many reads its buffers whole, too, where it comes to rows by their pages: each has some that it wants.
    """
    if plan.shuffle != "block" or plan.resampling is not None or not index.ascending:
        return False
    if plan.shard_count > _SHARDS_IN_MEMORY and not reader.from_files:
        return False
    return plan.blocks(0).buffer_items * reader.row_bytes() <= _BUFFER_BYTES


def _in_blocks(reader: FileReader, index: RowIndex, plan: BatchPlan, scratch: Scratch) -> ReadStrategy:
    if plan.shard_count == 1 and reader.worth_keeping and in_buffers(reader, index, plan):
        folder, _ = scratch_folder(scratch)
        need = kept_bytes(plan.n_items, plan.block_items, reader.row_bytes())
        if folder is not None and need <= room(folder):
            return ReadStrategy("in blocks", "", folder, need)
    return ReadStrategy("in blocks")
