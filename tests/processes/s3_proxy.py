"""An S3 server behind a proxy of the test's own, which hands requests on late, and some of them badly."""

from __future__ import annotations

import asyncio
import http.client
import http.server
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import fsspec
import pytest
from s3_server import HOST, credentials, emptied

READS = ["500", "503", "reset", "truncated", "changed"]
WRITES = ["500", "503", "reset", "lost"]  # the last: the store has done it, and its answer doesn't come


class Proxy(http.server.BaseHTTPRequestHandler):
    """Hands requests on to the store."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or a body waits 40 ms for the client to have taken note of the head
    target = (HOST, 0)
    faults: list[str] = []  # of reads of rows and lists
    write_faults: list[str] = []
    done: list[str] = []
    lock = threading.Lock()
    delay_s = 0.0
    share = 0.5

    @classmethod
    def calm(cls) -> None:
        cls.faults, cls.write_faults, cls.done, cls.delay_s, cls.share = [], [], [], 0.0, 0.5

    def do_GET(self) -> None:
        time.sleep(self.delay_s)
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self._fault()
        if fault == "reset":
            self._reset()
            return
        if fault in ("500", "503"):
            self.send_response(int(fault))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        link = http.client.HTTPConnection(*self.target)
        link.request(self.command, self.path, content or None, dict(self.headers.items()))
        answer = link.getresponse()
        content = answer.read()
        link.close()
        if fault == "lost":
            self._reset()
            return
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length", "date", "server"):
                self.send_header(name, value)
        length = len(content) if self.command != "HEAD" else answer.getheader("Content-Length", "0")
        if fault == "changed":
            content = bytes([content[0] ^ 255]) + content[1:]
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if fault == "truncated":
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
        elif self.command != "HEAD":
            self.wfile.write(content)

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815 - what the server calls

    def _fault(self) -> str | None:
        if self.command == "GET":
            faults = self.faults
            told = "manifest.json" in self.path  # what is changed in it is refused, and not asked for again
            if told or not ("Range" in self.headers or "list-type" in self.path):
                return None
        elif self.command == "HEAD":
            return None
        else:
            faults = self.write_faults
        with self.lock:
            if not faults or random.random() >= self.share:
                return None
            self.done.append(faults.pop())
            return self.done[-1]

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.connection.close()
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        return

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:  # the client has left
            self.close_connection = True


def shorten_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store's own libraries ask again as often as ever, but wait a twentieth of the time before."""
    sleep = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", lambda delay, *rest: sleep(delay / 20, *rest))


class _QuietServer(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def shutdown_request(self, request: Any) -> None:
        try:
            super().shutdown_request(request)
        except OSError:
            return


@contextmanager
def s3_behind_proxy(monkeypatch: pytest.MonkeyPatch, port: int) -> Iterator[Any]:
    """boto3's client of the server with the bucket ``lake`` alone; everything else goes through the proxy."""
    pytest.importorskip("s3fs")
    boto3 = pytest.importorskip("boto3")
    with emptied(port):
        monkeypatch.setattr(Proxy, "target", (HOST, port))
        proxy = _QuietServer((HOST, 0), Proxy)
        thread = threading.Thread(target=proxy.serve_forever, daemon=True)
        thread.start()
        for name, value in credentials(f"http://{HOST}:{proxy.server_port}").items():
            monkeypatch.setenv(name, value)
        try:
            client = boto3.client("s3", endpoint_url=f"http://{HOST}:{port}")
            client.create_bucket(Bucket="lake")
            fsspec.get_filesystem_class("s3").clear_instance_cache()
            shorten_waits(monkeypatch)
            yield client
        finally:
            Proxy.calm()
            proxy.shutdown()
            proxy.server_close()
            thread.join()
