"""Python programs in processes of their own that needn't import everything anew: forks of one that has.

Importing vaex takes a second and Keras three more, most of what many tests with processes took. A test that is about
importing itself, or about what is set before it, starts ``sys.executable`` as ever.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

SERVER = Path(__file__).with_name("prepared_server.py")
BEFORE_IMPORTS = ("KERAS_BACKEND", "PYTHONHASHSEED", "VAEX_HOME")  # what a fork comes too late for; the first by Keras
SHARED = "VAXSEQ_TEST_PREPARED"  # for a program that may start others: the socket's number, what came before imports


class PreparedPython:
    """An interpreter with modules imported: ``run`` and ``popen`` are subprocess's, without the interpreter's name."""

    def __init__(self, modules: Sequence[str], *, keras: bool, **environment: str) -> None:
        self._modules, self._environment = modules, environment
        self._before_imports = BEFORE_IMPORTS if keras else BEFORE_IMPORTS[1:]
        self._lock = threading.Lock()
        self._server: subprocess.Popen[bytes] | None = None
        self._client: socket.socket | None = None

    @classmethod
    def shared(cls) -> PreparedPython | None:
        """In a program that was started with ``share=True``: the interpreter that it is a fork of."""
        told = os.environ.pop(SHARED, None)
        if told is None:
            return None
        made = cls([], keras="keras" in sys.modules)
        number, made._env = json.loads(told)
        made._client = socket.socket(fileno=number)
        return made

    def too_late(self, env: Mapping[str, str]) -> list[str]:
        """What of an environment is read by what is imported already, and is another there."""
        self.start()
        return [name for name in self._before_imports if env.get(name) != self._env.get(name)]

    def start(self) -> socket.socket:
        """Start the interpreter itself, if it isn't there yet."""
        with self._lock:
            if self._client is None:
                self._env = {**os.environ, **self._environment}
                self._client, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                command = [sys.executable, str(SERVER), *self._modules]
                with theirs:
                    self._server = subprocess.Popen(command, stdin=theirs, stdout=subprocess.DEVNULL, env=self._env)
            return self._client

    def popen(
        self,
        arguments: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        stdin: int | IO[Any] = subprocess.DEVNULL,
        stdout: int | IO[Any] = subprocess.PIPE,
        stderr: int | IO[Any] | None = None,
        share: bool = False,
        start_new_session: bool = False,
        text: bool = True,
    ) -> PreparedProcess:
        """Start ``python arguments...``; what is piped is text, or else unbuffered bytes.

        With ``share`` the program may start others in the same way: ``PreparedPython.shared()`` there.
        """
        env = {**os.environ} if env is None else dict(env)
        client = self.start()
        late = self.too_late(env)
        assert not late, f"{', '.join(late)} is read by what is imported already"
        request: dict[str, Any] = {"arguments": [*map(str, arguments)], "env": env, "cwd": str(cwd or Path.cwd())}
        request["session"] = start_new_session
        kind = "" if text else "b"
        ends = [_ends(stdin, "w" + kind, 0), _ends(stdout, "r" + kind, 1), _ends(stderr, "r" + kind, 2)]
        ends.append(_ends(subprocess.PIPE, "rb", -1))
        theirs = [its for _, its in ends]
        if share:
            request["share"] = {name: self._env[name] for name in BEFORE_IMPORTS if name in self._env}
            theirs.append(os.dup(client.fileno()))
        with self._lock:
            socket.send_fds(client, [json.dumps(request).encode()], theirs)
        for file in theirs:
            os.close(file)
        return PreparedProcess(request["arguments"], *(mine for mine, _ in ends))

    def run(
        self,
        arguments: Sequence[str | Path],
        *,
        check: bool = False,
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        stderr: int | None = subprocess.PIPE,
        share: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run ``python arguments...`` to its end."""
        with self.popen(arguments, env=env, cwd=cwd, stderr=stderr, share=share) as process:
            try:
                out, err = process.communicate(timeout)
            except BaseException:
                process.kill()
                raise
        done = subprocess.CompletedProcess(process.args, process.returncode, out, err)
        if check and done.returncode:
            raise subprocess.CalledProcessError(done.returncode, done.args, out, err)
        return done

    def close(self) -> None:
        if self._client is not None:
            if self._server is not None:
                self._client.shutdown(socket.SHUT_WR)  # a fork of this process may still hold its end
            self._client.close()
        if self._server is not None:
            self._server.wait()


def _ends(kind: int | IO[Any] | None, mode: str, number: int) -> tuple[IO[Any] | None, int]:
    """This side of a standard file, if it is a pipe, and the program's side."""
    if kind == subprocess.PIPE:
        reader, writer = os.pipe()
        mine, its = (writer, reader) if mode[0] == "w" else (reader, writer)
        return open(mine, mode, buffering=0 if "b" in mode else -1), its
    if kind == subprocess.DEVNULL:
        return None, os.open(os.devnull, os.O_RDWR)
    return None, os.dup(number if kind is None else kind if isinstance(kind, int) else kind.fileno())


class PreparedProcess:
    """A program that was started: as subprocess.Popen, as far as tests need it."""

    def __init__(self, args: list[str], stdin: Any, stdout: Any, stderr: Any, fate: Any) -> None:
        self._fate, self.args = fate, args
        self.stdin, self.stdout, self.stderr = stdin, stdout, stderr
        self.returncode: int | None = None
        self.pid = int(self._line())

    def poll(self) -> int | None:
        """How it ended, if it has."""
        if self.returncode is None and select.select([self._fate], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._fate], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = int(self._line())
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """All that it prints and its end."""
        said = ["", ""]

        def read(number: int, file: IO[str]) -> None:
            said[number] = file.read()

        files = [(number, file) for number, file in enumerate((self.stdout, self.stderr)) if file is not None]
        readers = [threading.Thread(target=read, args=one, daemon=True) for one in files]
        for reader in readers:
            reader.start()
        self.wait(timeout)
        for reader in readers:
            reader.join(timeout)
        return said[0], said[1]

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *rest: object) -> None:
        if self.stdin is not None:
            self.stdin.close()
        self.wait()
        for file in (self.stdout, self.stderr, self._fate):
            if file is not None:
                file.close()

    def _line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            byte = self._fate.read(1)
            assert byte, f"the prepared interpreter ended while it ran {self.args}"
            line += byte
        return line
