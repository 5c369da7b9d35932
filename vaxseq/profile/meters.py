"""What the system counts of this process: time, disk, page faults, memory."""

from __future__ import annotations

import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Usage:
    """Counts since the process began; the difference of two is what happened between."""

    wall_s: float
    cpu_s: float  # all threads of this process
    thread_s: float  # the calling thread alone
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
            time.thread_time(),
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
    total = 0
    for task in _listed("/proc/self/task"):
        for child in _text(task / "children").split():
            # after the command's name, which may hold anything but ends with the last ")"
            fields = _text(Path("/proc") / child / "stat").rpartition(")")[2].split()
            total += sum(int(ticks) for ticks in fields[11:13])
    return total / os.sysconf("SC_CLK_TCK")


def mapped_ranges() -> list[tuple[int, int, str]]:
    """(start, end, path) of the memory that is a file's, in order of address."""
    ranges = []
    for line in _text(Path("/proc/self/maps")).splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[5].startswith("/"):
            start, _, end = fields[0].partition("-")
            ranges.append((int(start, 16), int(end, 16), fields[5]))
    return ranges


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


def _listed(path: str) -> list[Path]:
    folder = Path(path)
    return list(folder.iterdir()) if folder.is_dir() else []
