"""Imports the modules named as arguments, then forks a Python program for each request on its standard input's socket.

A request is ``{"arguments": [...], "env": {...}, "cwd": ..., "session": ...}`` with the files for the program's
standard input, output and error and a pipe for its fate: first its process id, then how it ended. With ``"share"`` a
fifth file comes, the other end of the socket, for a program that asks for more of them. This process never runs a
program itself, so that each begins as a new interpreter would, but for what is imported.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import socket
import sys
import threading
import types
import warnings
from importlib import import_module
from typing import Any

from leaner import heed_environment, make_leaner, sync_nothing


def serve(client: socket.socket) -> dict[str, Any]:
    """Forks for each request; comes back in the program's process, with what it shall run."""
    while True:
        message, files, _, _ = socket.recv_fds(client, 1 << 20, 5)
        reap()
        if not message:
            reap(os.WEXITED)
            os._exit(0)
        if fork() == 0:
            client.close()
            request: dict[str, Any] = json.loads(message)
            watch(files, request.pop("session"))  # comes back in the program alone
            shared = files[4:]
            for number in range(3):
                os.dup2(files[number], number)
            for file in files[:4]:
                os.close(file)
            if shared:
                request["env"]["VAXSEQ_TEST_PREPARED"] = json.dumps([shared[0], request.pop("share")])
            return request
        for file in files:
            os.close(file)


def fork() -> int:
    """As os.fork, which from Python 3.12 on warns of threads; those here are idle ones of NumPy's and Arrow's pools."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return os.fork()


def reap(options: int = os.WNOHANG) -> None:
    """Takes note of the watching processes that ended, so that their time counts as this one's children's."""
    try:
        while os.waitpid(-1, options & os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def watch(files: list[int], session: bool) -> None:
    """Forks once more: the parent tells of the child's fate and ends, the child goes on, in a session of its own."""
    child = fork()
    if child == 0:
        if session:
            os.setsid()
        os.write(files[3], f"{os.getpid()}\n".encode())
        return
    pipe = files.pop(3)
    for file in files:  # or who reads from the program would wait for this process, too
        os.close(file)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.write(pipe, f"{code}\n".encode())
    os._exit(0)


def run(arguments: list[str], env: dict[str, str], cwd: str) -> None:
    """What ``python arguments...`` does once it has started."""
    os.environ.clear()
    os.environ.update(env)
    heed_environment()
    os.chdir(cwd)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # programs don't share their chance; Python sees to its own
    kind, *rest = arguments
    paths = [path for path in env.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:0] = [os.path.dirname(os.path.abspath(kind)) if kind[0] != "-" else "", *paths]
    if kind == "-c":
        sys.argv = ["-c", *rest[1:]]
        main = types.ModuleType("__main__")
        sys.modules["__main__"] = main
        exec(compile(rest[0], "<string>", "exec"), main.__dict__)
    elif kind == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        main = types.ModuleType("__main__")
        main.__file__ = kind
        sys.modules["__main__"] = main
        with open(kind, "rb") as file:
            exec(compile(file.read(), kind, "exec"), main.__dict__)


def end(code: int) -> None:
    """The end of a program, without the taking apart of all that is imported, which is the most that a fork copies.

    Threads are waited for, what is registered with atexit is run, what was printed is flushed. Comes back if that
    fails: the interpreter then says so, as ever.
    """
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        for file in (sys.stdout, sys.stderr):
            if file is not None:
                file.flush()
    except (OSError, ValueError):
        return
    os._exit(code)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        import_module(name)
    del sys.path[0]
    make_leaner()
    sync_nothing()
    gc.collect()
    gc.freeze()  # or each fork would copy what it looks through for garbage
    assert threading.active_count() == 1, "a fork would lack the other threads"
    with socket.socket(fileno=os.dup(0)) as client:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        job = serve(client)
    try:
        run(**job)
    except SystemExit as asked:
        if asked.code is None or isinstance(asked.code, int):
            end((asked.code or 0) & 0xFF)
        raise
    end(0)
