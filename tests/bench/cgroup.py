"""A control group with a limit on memory, page cache included, for one process at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# hierarchy -> files of a group: its limit, the most it used, what it may swap
FILES = {
    "cgroup": ("memory.limit_in_bytes", "memory.max_usage_in_bytes", "memory.memsw.limit_in_bytes"),
    "cgroup2": ("memory.max", "memory.peak", "memory.swap.max"),
}


class NoGroupError(Exception):
    """There is none to be had here; says why."""


class Group:
    """A group that is there; a process enters it by itself and leaves it when it ends."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder, self.kind = folder, kind
        self._limit, self._peak, self._swap = (folder / name for name in FILES[kind])

    def enter(self) -> None:
        """Move this process into the group: what it allocates and reads from now on counts."""
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def limit(self, size: int) -> None:
        self._limit.write_text(str(size))
        if self._swap.exists():
            self._swap.write_text(str(size if self._swap.name.startswith("memory.memsw") else 0))

    def begin(self) -> None:
        """Forget the peak of a process before."""
        if self._peak.exists():
            self._peak.write_text("0")

    def peak(self) -> int | None:
        """The most memory that was in use; None where the kernel doesn't keep it."""
        return int(self._peak.read_text()) if self._peak.exists() else None


@contextmanager
def limited(size: int) -> Iterator[Group]:
    """A group below this process's own (or beside it, where its own can't have any), removed at the end.

    Raises:
        NoGroupError: this system has no groups, or doesn't let us make one.
    """
    why = "no memory control group is mounted"
    for folder, kind in own_groups():
        made = folder / f"vaxseq-bench-{os.getpid()}"
        try:
            made.mkdir()
        except OSError as error:
            why = f"{folder}: {error.strerror}"
            continue
        try:
            if not (made / FILES[kind][0]).exists():
                why = f"{folder}: groups below it have no limit on memory"
                continue
            group = Group(made, kind)
            try:
                group.limit(size)
            except OSError as error:
                why = f"{made}: {error.strerror}"
                continue
            yield group
            return
        finally:
            made.rmdir()
    raise NoGroupError(why)


def own_groups() -> Iterator[tuple[Path, str]]:
    """Where a new group may go, with its hierarchy: below this process's own group, then below that one's parent.

    In the second hierarchy a group with processes has none below it, so the parent's it is.
    """
    own = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        own["cgroup2" if not controllers else f"cgroup {controllers}"] = path
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        root, mount = before.split()[3:5]
        kind, _, options = after.split(" ", 2)
        names = [name for name in own if name.split()[0] == kind]
        if kind == "cgroup":
            names = [
                name for name in names if "memory" in name.split()[1].split(",") and "memory" in options.split(",")
            ]
        for name in names:
            path = os.path.relpath(own[name], root)
            folder = Path(mount) if path.startswith("..") else Path(mount, path)
            yield folder, kind
            if folder != Path(mount):
                yield folder.parent, kind
