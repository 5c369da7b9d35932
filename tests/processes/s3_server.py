"""A real S3 server in a process of its own, on loopback."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

HOST = "127.0.0.1"


@contextmanager
def s3_server() -> Iterator[int]:
    """Its port, once it answers; a test that asks for one without moto installed is skipped."""
    pytest.importorskip("moto.server")
    with socket.socket() as one:
        one.bind((HOST, 0))
        port: int = one.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", HOST, "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        until = time.monotonic() + 60
        while True:
            try:
                socket.create_connection((HOST, port), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < until, "the S3 server didn't start"
                assert server.poll() is None, "the S3 server ended"
                time.sleep(0.1)
        yield port
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


@contextmanager
def emptied(port: int) -> Iterator[None]:
    """At the end a server forgets all that it holds, for the next test."""
    try:
        yield
    finally:
        link = http.client.HTTPConnection(HOST, port)
        link.request("POST", "/moto-api/reset")
        assert link.getresponse().status == 200
        link.close()


def credentials(endpoint: str) -> dict[str, str]:
    """The environment in which clients find it; these are in the environment of the tests only."""
    return {
        "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing-secret", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint, "AWS_EC2_METADATA_DISABLED": "true",
    }  # fmt: skip
