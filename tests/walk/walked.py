"""Runs one operation in children of this process, each killed before another of its steps on the disk.

For each line on standard input, `number folder`, a child runs the operation in that folder and is killed (SIGKILL)
before its step of that number; 0 means never. Answers with a line of JSON: the exit code, the steps that were begun,
the last of them by name, and what was said (warnings, log lines, the error). A step is whatever changes files: opening
one to write, renaming, linking, removing, making folders, truncating. This process itself never runs the operation, so
that it has no threads when it forks.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import signal
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

_CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.truncate", "os.symlink", "shutil.rmtree"}


def step_name(event: str, arguments: tuple[Any, ...], folder: str) -> str | None:
    """What a step is called; None for what changes nothing in the folder."""
    if event == "open":
        path, mode, flags = arguments
        writes = (isinstance(mode, str) and any(one in mode for one in "wax+")) or (
            isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)
        )
        names = [path] if writes else []
    elif event in _CHANGES:
        names = [one for one in arguments if isinstance(one, (str, os.PathLike))]
    else:
        return None
    full = [os.path.abspath(os.fspath(one)) for one in names if isinstance(one, (str, os.PathLike))]
    inside = [os.path.relpath(one, folder) for one in full if one.startswith(folder + os.sep)]
    return f"{event.replace('open', 'write')} {' '.join(inside)}" if inside else None


def run(operation: Any, number: int, folder: str) -> None:
    """In the child: the operation, and its end before step ``number``."""
    os.chdir(folder)
    begun = 0
    report = os.open(os.path.join(os.path.dirname(folder), f".steps-{os.getpid()}"), os.O_WRONLY | os.O_CREAT)

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal begun
        if event != "open" and event not in _CHANGES:
            return
        name = step_name(event, arguments, folder)
        if name is None:
            return
        begun += 1
        os.pwrite(report, f"{begun} {name}\n".encode().ljust(500), 0)
        if begun == number:
            os.kill(os.getpid(), signal.SIGKILL)

    said = open(f"{folder}.said", "w", buffering=1)  # beside the folder

    def say(message: object, *_: object, **__: object) -> None:
        said.write(" ".join(str(message).split()) + "\n")

    handler = logging.Handler()
    handler.emit = lambda record: say(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("vaxseq").addHandler(handler)
    warnings.showwarning = say
    sys.addaudithook(watch)
    try:
        operation()
    except BaseException as error:
        say(f"{type(error).__name__}: {error}")
        raise


def main() -> None:
    spec = importlib.util.spec_from_file_location("operations", Path(__file__).with_name("operations.py"))
    assert spec is not None
    assert spec.loader is not None
    operations = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(operations)
    operation = getattr(operations, sys.argv[1])
    getattr(operations, f"before_{sys.argv[1]}", lambda: None)()
    for line in sys.stdin:
        number, _, folder = line.strip().partition(" ")
        child = os.fork()
        if child == 0:
            code = 1
            try:
                run(operation, int(number), folder)
                code = 0
            except BaseException:  # noqa: BLE001  # said, and told by the exit code
                traceback.print_exc()
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        path = Path(folder).parent / f".steps-{child}"
        begun, _, name = (path.read_text().strip() or "0 none").partition(" ")
        path.unlink()
        said = Path(f"{folder}.said").read_text().splitlines()
        print(json.dumps([os.waitstatus_to_exitcode(status), int(begun), name, said]), flush=True)


if __name__ == "__main__":
    main()
