"""The buffers of a block shuffle: each loaded once though several threads ask for it, the next one while it is used."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from vaxseq.loading.readers.frame import Arrays
from vaxseq.plan.shuffle import BlockOrder, Buffer

_ROOM = 3


class BlockBuffers:
    """The last used buffers. ``load`` is asked in a thread of its own for the one that follows."""

    def __init__(self, load: Callable[[Buffer], Arrays], *, ahead: bool) -> None:
        self._load, self._ahead = weakref.WeakMethod(load), ahead
        self._kept: OrderedDict[tuple[int, int], Future[Arrays]] = OrderedDict()
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def get(self, blocks: BlockOrder, buffer: Buffer) -> Arrays:
        """The rows of a buffer, in the order of its blocks."""
        with self._lock:
            future, mine = self._place(blocks, buffer)
            if self._ahead and buffer.number + 1 < blocks.n_buffers:
                after = blocks.buffer(buffer.number + 1)
                waiting, new = self._place(blocks, after)
                if new:
                    try:
                        self._thread().submit(self._fill, blocks, after, waiting)
                    except RuntimeError:  # the program ends; nobody may wait for what nobody fills
                        del self._kept[blocks.epoch, after.number]
        if mine:
            self._fill(blocks, buffer, future)
        return future.result()

    def _place(self, blocks: BlockOrder, buffer: Buffer) -> tuple[Future[Arrays], bool]:
        """A buffer's future, and whether whoever asked is to fill it."""
        key = (blocks.epoch, buffer.number)
        future = self._kept.get(key)
        new = future is None
        if future is None:
            future = self._kept[key] = Future()
            while len(self._kept) > _ROOM:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return future, new

    def _fill(self, blocks: BlockOrder, buffer: Buffer, future: Future[Arrays]) -> None:
        load: Any = self._load()
        try:
            future.set_result(load(buffer))
        except BaseException as error:  # noqa: BLE001 - whoever waits for the buffer gets it, too
            with self._lock:
                self._kept.pop((blocks.epoch, buffer.number), None)
            future.set_exception(error)

    def _thread(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="vaxseq-block-ahead")
            weakref.finalize(self, self._pool.shutdown, wait=False, cancel_futures=True)
        return self._pool
