"""Imports once, then forks a conversion for each line `target seconds` and kills it after so long.

Answers with how the conversion ended (0, or minus the signal) and how long it ran. This process itself never converts,
so that it has no threads when it forks.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback

from vaxseq.convert import convert, stage
from vaxseq.convert.readers import delimited


def run(source: str, target: str) -> None:
    schema = {"columns": {"v": "float64"}}
    convert(source, target, progress=False, schema=schema, on_bad_rows="reject", fragment_bytes=50_000)


def killed(source: str, target: str, seconds: float) -> tuple[int, float]:
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            run(source, target)
            code = 0
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(code)
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), time.monotonic() - started
        if time.monotonic() - started > seconds:
            os.kill(child, signal.SIGKILL)
            seconds = float("inf")
        time.sleep(0.0005)


def main() -> None:
    delimited._SMALLEST, delimited._ROWS, stage.MIN_BATCH_ROWS = 8_000, 1, 400
    for line in sys.stdin:
        target, seconds = line.split()
        print(*killed(sys.argv[1], target, float(seconds)), flush=True)


if __name__ == "__main__":
    main()
