"""Datasets behind a web server, and in stores whose package isn't there."""

from __future__ import annotations

import http.server
import importlib.util
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from vaxseq.convert import convert
from vaxseq.dataset import objects, remote_file
from vaxseq.dataset.verifying import verify
from vaxseq.errors import DatasetError, MissingExtraError, OptionError, SourceError, SourceNotFoundError
from vaxseq.frame import open as open_dataset
from vaxseq.frame import source_of
from vaxseq.training.sequence import Sequence

ROWS = 30_000


class Ranges(http.server.SimpleHTTPRequestHandler):
    """Files of a folder, also parts of them; with ``whole`` it can't give parts."""

    protocol_version = "HTTP/1.1"
    whole = False
    asked: list[str] = []

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        span = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        if span is None or self.whole:
            self._send(200, content, {"Accept-Ranges": "none" if self.whole else "bytes"})
            return
        self.asked.append(path.name)
        low, high = int(span[1]), min(int(span[2]), len(content) - 1)
        said = {"Content-Range": f"bytes {low}-{high}/{len(content)}", "Accept-Ranges": "bytes"}
        self._send(206, content[low : high + 1], said)

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content)), "ETag": '"1"'}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_HEAD = do_GET  # noqa: N815 - what the server calls

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def web(tmp_path, monkeypatch) -> Iterator[str]:
    """The address of a server of ``tmp_path / "www"``."""
    pytest.importorskip("aiohttp")
    monkeypatch.setenv("VAXSEQ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(objects, "FIRST_WAIT_S", 0.001)
    remote_file._held.clear()
    folder = tmp_path / "www"
    draw = np.random.default_rng(0)
    for part in range(2):
        table = pa.table({"x": draw.normal(size=ROWS), "s": [f"w{k % 7}" for k in range(ROWS)], "y": np.arange(ROWS)})
        convert(table, folder / "ds", append=bool(part), progress=False)
    monkeypatch.setattr(Ranges, "asked", [])
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *given: Ranges(*given, directory=str(folder)))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_web_server_s_folder_is_read_in_place(web, tmp_path) -> None:
    here, there = open_dataset(tmp_path / "www" / "ds"), open_dataset(f"{web}/ds")
    assert len(there) == 2 * ROWS
    assert there[100:200].s.tolist() == here[100:200].s.tolist()
    ids = np.random.default_rng(1).integers(0, 2 * ROWS, 500)
    for name in ("x", "y"):
        ours, theirs = (source_of(one).gather([name], ids)[name].data.tobytes() for one in (here, there))
        assert ours == theirs
    options = {"inputs": ["x"], "targets": "y", "batch_size": 1000, "shuffle": "global", "seed": 3}
    ours, theirs = Sequence(here, **options), Sequence(there, **options)
    for index in range(len(ours)):
        for one, other in zip(ours.batch(0, index), theirs.batch(0, index), strict=True):
            assert np.asarray(one).tobytes() == np.asarray(other).tobytes()
    assert {"part-00000.arrow", "part-00001.arrow"} <= set(Ranges.asked)
    assert len(verify(f"{web}/ds", progress=False).files) == 2


def test_what_a_web_server_does_not_have_or_cannot_do_is_said(web, tmp_path, monkeypatch) -> None:
    with pytest.raises(SourceNotFoundError, match=r"http://127.0.0.1:\d+/none: no dataset is there"):
        open_dataset(f"{web}/none")
    with pytest.raises(OptionError, match="a web server's files can be read, not written"):
        convert(pa.table({"x": [1]}), f"{web}/new", progress=False)
    monkeypatch.setattr(Ranges, "whole", True)
    with pytest.raises((SourceError, DatasetError), match=r"http://127.0.0.1:\d+/ds"):
        source_of(open_dataset(f"{web}/ds", cache_bytes=0)).read(["x"], 0, 10)


@pytest.mark.parametrize(("url", "package"), [("gs://lake/ds", "gcsfs"), ("az://lake/ds", "adlfs")])
def test_a_store_whose_package_is_missing_names_it(url, package) -> None:
    if importlib.util.find_spec(package) is not None:
        pytest.skip(f"{package} is installed")
    for act in (open_dataset, verify, lambda where: convert(pa.table({"x": [1]}), where, progress=False)):
        with pytest.raises(MissingExtraError, match=package):
            act(url)
