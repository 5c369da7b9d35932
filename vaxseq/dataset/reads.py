"""Reading at a place of a file."""

from __future__ import annotations

import os


def fill(file: int, buffer: memoryview, at: int) -> int:
    """Fills a buffer with a file's bytes from ``at``; returns how many came: fewer only where the file ends."""
    done = 0
    while done < len(buffer) and (count := os.preadv(file, [buffer[done:]], at + done)):
        done += count  # a read may give less than it is asked for
    return done
