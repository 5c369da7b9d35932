"""How much memory this process may use: the machine's, its control group's, or what it is told."""

from __future__ import annotations

import os
import re
from pathlib import Path

from vaxseq.errors import OptionError

_VARIABLE = "VAXSEQ_MEMORY"
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def memory_allowed() -> int | None:
    """Bytes that this process may use, its share of the page cache included; None where a system doesn't tell.

    $VAXSEQ_MEMORY (bytes, or as "4GB"), else the machine's or its control group's, whichever is less.

    Raises:
        OptionError: VAXSEQ_MEMORY isn't a number of bytes.
    """
    told = os.environ.get(_VARIABLE)
    if told:
        return _bytes_of(told)
    found = [size for size, _ in _groups()]
    return min([*found, *_machine("MemTotal")], default=None)


def memory_room() -> int | None:
    """Of the memory allowed, what isn't in use by anybody: what a page cache can grow to; None where unknown."""
    told = os.environ.get(_VARIABLE)
    if told:
        return _bytes_of(told)
    found = [size - used for size, used in _groups()]
    return max(0, min([*found, *_machine("MemAvailable")], default=0)) if found or _machine("MemAvailable") else None


def _bytes_of(text: str) -> int:
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)B?\s*", text.upper())
    if not found:
        raise OptionError(f"{_VARIABLE}: got {text!r}, expected a number of bytes, or one as 512MB or 4GB")
    return int(float(found[1]) * _UNITS[found[2]])


def _machine(name: str) -> list[int]:
    return [int(line.split()[1]) * 1024 for line in lines_of("/proc/meminfo") if line.startswith(f"{name}:")]


def _groups() -> list[tuple[int, int]]:
    """(limit, bytes in use that can't be dropped) of the control groups that hold this process."""
    found = []
    for line in lines_of("/proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            for folder in (f"/sys/fs/cgroup/memory{path}", "/sys/fs/cgroup/memory"):
                if stat := _numbers(f"{folder}/memory.stat"):
                    found.append((stat["hierarchical_memory_limit"], stat.get("total_rss", 0)))
                    break
        elif not controllers:
            for one in [Path(path), *Path(path).parents]:  # a container sees its own group as the root
                for limit in lines_of(f"/sys/fs/cgroup{one}/memory.max"):
                    if limit != "max":
                        stat = _numbers(f"/sys/fs/cgroup{one}/memory.stat")
                        found.append((int(limit), stat.get("anon", 0) + stat.get("slab_unreclaimable", 0)))
    return found


def _numbers(path: str) -> dict[str, int]:
    return {name: int(value) for name, value in (line.split() for line in lines_of(path))}


def lines_of(path: str) -> list[str]:
    """The lines of a small text file; none where it isn't there."""
    return Path(path).read_text(encoding="utf-8").splitlines() if os.path.isfile(path) else []
