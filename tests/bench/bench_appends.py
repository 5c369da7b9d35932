"""A day's worth of small appends: how long each takes, and how fast the dataset is read as it is and when compacted.

python bench_appends.py [appends] [rows each]
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import vaxseq as vs


def part(number: int, rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(number)
    return pd.DataFrame(
        {"a": rng.normal(size=rows), "b": rng.normal(size=rows), "w": [f"w{i % 9}" for i in range(rows)]}
    )


def pace(path: Path) -> dict[str, float]:
    """Seconds to open, and rows per second in order and shuffled."""
    started = time.perf_counter()
    frame = vs.open(path)
    found = {"open_s": time.perf_counter() - started}
    for name, shuffle in (("in_order", False), ("shuffled", "global")):
        sequence = vs.Sequence(frame, inputs=["a", "b"], batch_size=1024, shuffle=shuffle, read_ahead=0)
        for epoch in range(2):  # the second is warm
            started = time.perf_counter()
            for index in range(len(sequence)):
                sequence.batch(epoch, index)
            found[f"{name}_rows_s"] = len(frame) / (time.perf_counter() - started)
    return found


def measure(appends: int = 1000, rows: int = 1000) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        took = []
        for number in range(appends):
            started = time.perf_counter()
            vs.convert(part(number, rows), Path(folder, "d"), append=True, progress=False)
            took.append(time.perf_counter() - started)
        many = pace(Path(folder, "d"))
        started = time.perf_counter()
        vs.compact(Path(folder, "d"), progress=False)
        compact_s = time.perf_counter() - started
        compacted = pace(Path(folder, "d"))
        started = time.perf_counter()
        vs.convert(part(appends, rows), Path(folder, "d"), append=True, progress=False)
        after_s = time.perf_counter() - started
        edge = max(appends // 10, 1)
        return {
            "first_appends_s": float(np.median(took[:edge])), "last_appends_s": float(np.median(took[-edge:])),
            "many": many, "compact_s": compact_s, "compacted": compacted, "append_to_compacted_s": after_s,
            "open_files": len(os.listdir("/proc/self/fd")),
        }  # fmt: skip


if __name__ == "__main__":
    print(measure(*map(int, sys.argv[1:])))
