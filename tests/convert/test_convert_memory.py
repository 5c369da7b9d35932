"""Converting takes bounded memory: anonymous pages only, since mapped files are the system's to drop."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

MEGABYTES = int(os.environ.get("VAXSEQ_TEST_CSV_MB", "150"))
LIMIT_MB = 600
CONVERT = "import sys; from vaxseq.convert import convert; convert(*sys.argv[1:], progress=False, overwrite=True)"


@pytest.fixture(scope="module")
def block() -> bytes:
    """Rows of numbers, repeated text, single text and instants."""
    rng = np.random.default_rng(0)
    n = 100_000
    names, kinds = rng.integers(10**8, 10**9, n), rng.integers(0, 3, n)
    numbers = zip(rng.normal(size=n), rng.integers(0, 10**6, n), strict=True)
    rows = [
        f"{i},{x:.4f},{k},{'abc'[kinds[i]] * 5},{names[i]}n,2013-01-{i % 28 + 1:02d} {i % 24:02d}:00:00\n"
        for i, (x, k) in enumerate(numbers)
    ]
    return "".join(rows).encode()


def write(path: Path, block: bytes, megabytes: int) -> None:
    with open(path, "wb") as file:
        file.write(b"id,x,k,c,name,t\n")
        while file.tell() < megabytes * 1_000_000:
            file.write(block)


def peak_mb(*arguments: str) -> float:
    """The most anonymous memory that a conversion in a process of its own had."""
    process = subprocess.Popen([sys.executable, "-c", CONVERT, *arguments])
    most = 0
    while process.poll() is None:
        found = re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
        most = max(most, int(found[1]) if found else 0)
        time.sleep(0.02)
    assert process.returncode == 0
    return most / 1024


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("suffix", ["arrow", "hdf5"])
def test_memory_stays_bounded_and_does_not_grow_with_the_file(tmp_path: Path, block: bytes, suffix: str) -> None:
    source = tmp_path / "a.csv"
    peaks = []
    for megabytes in (MEGABYTES // 3, MEGABYTES):
        write(source, block, megabytes)
        peaks.append(peak_mb(str(source), str(tmp_path / f"o.{suffix}")))
    print(f"{suffix}: {peaks[0]:.0f} MB, then {peaks[1]:.0f} MB")
    assert max(peaks) < LIMIT_MB
    assert peaks[1] < peaks[0] * 1.15 + 20
