"""What the system counts of this process: time, disk, page faults, memory."""

from __future__ import annotations

import os
import resource
import time
import weakref
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Usage:
    """Counts since the process began; the difference of two is what happened between."""

    wall_s: float
    cpu_s: float  # all threads of this process
    disk_bytes: int  # fetched from storage, read() and page faults alike
    read_bytes: int  # asked of read(), from the page cache too
    major_faults: int  # pages that had to be fetched
    minor_faults: int  # pages that were in memory already

    @classmethod
    def now(cls) -> Usage:
        """The counts at this moment."""
        io = _table("/proc/self/io")
        used = resource.getrusage(resource.RUSAGE_SELF)
        return cls(
            time.perf_counter(),
            time.process_time(),
            io.get("read_bytes", 0),
            io.get("rchar", 0),
            used.ru_majflt,
            used.ru_minflt,
        )

    def since(self, before: Usage) -> Usage:
        """What happened from ``before`` until these counts were taken."""
        return Usage(*(getattr(self, name) - getattr(before, name) for name in self.__slots__))


def memory_bytes() -> int:
    """Memory that belongs to this process alone: mapped pages of data files aren't counted."""
    return _table("/proc/self/status").get("RssAnon", 0) * 1024


def child_cpu_s() -> float:
    """Processor seconds of the child processes that are running now; a process pool's work shows here."""
    total, parent = 0, str(os.getpid())
    for folder in Path("/proc").iterdir() if Path("/proc").is_dir() else ():
        if folder.name.isdigit():
            # after the command's name, which may hold anything but ends with the last ")"
            fields = _text(folder / "stat").rpartition(")")[2].split()
            if len(fields) > 12 and fields[1] == parent:
                total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


class Queue:
    """Seconds that a thread was ready to run while others had the processor, by the kernel's count."""

    def __init__(self, thread_id: int | None = None) -> None:
        folder = Path("/proc/thread-self" if thread_id is None else f"/proc/self/task/{thread_id}")
        file = folder / "schedstat"
        self._file = os.open(file, os.O_RDONLY) if file.exists() else None
        if self._file is not None:
            weakref.finalize(self, os.close, self._file)

    def seconds(self) -> float:
        """Since the thread began; 0 where a system doesn't count."""
        return 0.0 if self._file is None else int(os.pread(self._file, 100, 0).split()[1]) / 1e9


class Meter:
    """Adds up a piece of work of the thread that made it.

    ``seconds`` is the clock's; ``busy_s`` the thread ran; ``waited_s`` it waited for something: disk, network, another
    thread or process. The rest a busy machine took away.
    """

    __slots__ = ("_begin", "_queue", "busy_s", "seconds", "waited_s")

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self.clear()

    def clear(self) -> None:
        """Back to nothing."""
        self.seconds = self.busy_s = self.waited_s = 0.0

    @property
    def own_s(self) -> float:
        """Seconds that the work itself took, on a busy machine as on a quiet one."""
        return self.busy_s + self.waited_s

    def __enter__(self) -> None:
        # the queue is read outside of the others: what is taken away meanwhile must not look like waiting
        self._begin = self._queue.seconds(), time.perf_counter(), time.thread_time()

    def __exit__(self, *_: object) -> None:
        busy = time.thread_time() - self._begin[2]
        wall = time.perf_counter() - self._begin[1]
        queued = self._queue.seconds() - self._begin[0]
        self.seconds += wall
        self.busy_s += busy
        self.waited_s += max(0.0, wall - busy - queued)


def _table(path: str) -> dict[str, int]:
    """Lines such as ``name: 12 kB``. Empty where a system doesn't have the file."""
    found = {}
    for line in _text(Path(path)).splitlines():
        name, _, rest = line.partition(":")
        number = rest.split()[0] if rest.split() else ""
        if number.isdigit():
            found[name] = int(number)
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # not there on this system, or a process that has ended
        return ""
