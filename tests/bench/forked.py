"""A benchmark whose processes are forks of one that has imported Keras: does it all run?

python tests/bench/forked.py tests/bench/run.py --rows 20000 ...     # for the tests; figures are taken without this
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "processes"))

from prepared import PreparedPython

PREPARED = ["vaex", "vaxseq.training.sequence", "vaxseq.store", "vaxseq.profile"]


def main(script: str, *arguments: str) -> None:
    python = PreparedPython.shared() or PreparedPython(PREPARED, keras=True)
    run_anew, popen_anew = subprocess.run, subprocess.Popen

    def anew(command: list[str], options: dict[str, Any]) -> bool:
        """What is neither the benchmark nor a module, or comes too late for a fork."""
        own = command[:2] in ([sys.executable, script], [sys.executable, "-m"])
        return not own or bool(python.too_late(options.get("env") or os.environ))

    def popen(command: list[str], **options: Any) -> Any:
        if anew(command, options):
            return popen_anew(command, **options)
        return python.popen(command[1:], **{name: value for name, value in options.items() if name != "text"})

    def run(command: list[str], **options: Any) -> Any:
        if anew(command, options):
            return run_anew(command, **options)
        env, timeout = options.pop("env", None), options.pop("timeout", None)
        assert options == {"stdout": subprocess.PIPE, "text": True, "check": True}
        return python.run(command[1:], check=True, env=env, timeout=timeout, stderr=None)

    python.start()  # before Popen is another
    subprocess.run = run  # type: ignore[assignment]
    subprocess.Popen = popen  # type: ignore[assignment, misc]
    sys.argv = [script, *arguments]
    sys.path.insert(0, str(Path(script).parent))
    try:
        runpy.run_path(script, run_name="__main__")
    finally:
        python.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
