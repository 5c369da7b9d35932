"""What every test stands on: a quiet Keras backend, hypothesis settings, the samples, the rule about skips."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from _pytest.doctest import DoctestModule
from hypothesis import HealthCheck, settings
from leaner import COMPILED, compiled_quickly, make_leaner, sync_nothing
from prepared import PreparedProcess, PreparedPython
from s3_server import s3_server

# Before anything imports keras. CI names each backend in turn; otherwise JAX, which starts fastest.
os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Row indexes and vaex's own files of a test run don't belong in the home folder.
_CACHE = tempfile.TemporaryDirectory(prefix="vaxseq-tests-")
os.environ["VAXSEQ_CACHE"] = f"{_CACHE.name}/vaxseq"
os.environ["VAEX_HOME"] = f"{_CACHE.name}/vaex"

# Three backends make millions of objects that stay; to go through them again and again took a quarter of the time.
gc.set_threshold(100_000, 50, 1000)

# Two workers have a core each; threads of BLAS that wait for the next small product spin meanwhile.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

os.environ.pop("COLUMNS", None)  # what is printed to a pipe isn't cut to a worker's idea of a terminal
os.environ.setdefault(COMPILED, f"{_CACHE.name}/jax")  # the workers of xdist have the first process's

# No deadline: the first example pays for imports. Derandomized, so that a red build is red again when run again;
# HYPOTHESIS_PROFILE=explore looks further.
settings.register_profile(
    "repeat", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], database=None
)
settings.register_profile("explore", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeat"))

# A job in a shell's background begins with Ctrl-C ignored, and what it starts would ignore it, too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

sync_nothing()

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def figures() -> Iterator[None]:
    """A test's figures end with it."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(scope="module")
def quick_compiler() -> Iterator[None]:
    """For tests that ask whether something runs and learns: JAX's programs are compiled for less time."""
    with compiled_quickly():
        yield


@pytest.fixture
def lake() -> Iterator[Any]:
    """An object store in this process's memory, of which ``memory://lake`` is empty."""
    system = pytest.importorskip("fsspec").filesystem("memory")
    yield system
    if system.exists("/lake"):
        system.rm("/lake", recursive=True)


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of shipped samples."""
    return ROOT / "data_samples"


@pytest.fixture(scope="session")
def python() -> Iterator[PreparedPython]:
    """Python programs in processes of their own, with all but Keras imported."""
    ours = (f"vaxseq.{room}" for room in ("cli", "convert", "split", "store", "report.exploration"))
    made = PreparedPython(["vaex", *ours, "converting"], keras=False)
    yield made
    made.close()


@pytest.fixture(scope="session")
def keras_python() -> Iterator[PreparedPython]:
    """Python programs in processes of their own, with Keras and its backend imported."""
    made = PreparedPython(
        ["vaex", "vaxseq.training.sequence", "vaxseq.store", "vaxseq.profile", "vaxseq.convert"], keras=True
    )
    yield made
    made.close()


@pytest.fixture(scope="session")
def tensorflow_python() -> Iterator[PreparedPython]:
    """As ``keras_python``, on TensorFlow whatever the backend, with what exports imported first."""
    made = PreparedPython(["vaxseq.training.export.process"], keras=True, KERAS_BACKEND="tensorflow")
    yield made
    made.close()


@pytest.fixture
def forked_probe(python: PreparedPython, monkeypatch: pytest.MonkeyPatch) -> None:
    """HDF5 files are tried in forks of the prepared interpreter, for tests that have dozens of them tried."""

    def popen(command: list[str], *, bufsize: int, **options: Any) -> PreparedProcess:
        assert (command[:2], bufsize) == ([sys.executable, "-P"], 0)
        return python.popen(command[2:], text=False, **options)

    kinds = {"PIPE": subprocess.PIPE, "DEVNULL": subprocess.DEVNULL}
    monkeypatch.setattr("vaxseq.dataset.hdf5_probe.subprocess", SimpleNamespace(Popen=popen, **kinds))


@pytest.fixture(scope="session")
def forkserver() -> ForkServerContext:
    """For an executor of a test: its processes have imported what they and the tests' modules need."""
    context = get_context("forkserver")
    ours = (f"vaxseq.{room}" for room in ("cli", "convert", "features", "report.exploration", "split", "store"))
    context.set_forkserver_preload([*ours, "s3fs", "pytest", "pyarrow.csv", "pyarrow.json", "pickletools"])
    return context


@pytest.fixture(scope="session")
def s3_port() -> Iterator[int]:
    """An S3 server's port; who uses it empties it."""
    with s3_server() as port:
        yield port


class Doctests:
    """A module without examples isn't imported to look for them: one of tensorflow_devices' kind takes seconds."""

    @staticmethod
    @pytest.hookimpl(wrapper=True)
    def pytest_collect_file(file_path: Path):
        found = yield
        return [one for one in found if not isinstance(one, DoctestModule) or b">>>" in file_path.read_bytes()]


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Doctests())  # a conftest's own hooks are asked in its folder alone


def pytest_collection_finish() -> None:
    """What is imported by now stays."""
    make_leaner()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Turn the skip of a test that needs a server into a failure where servers were promised."""
    report = yield
    promised = os.environ.get("VAXSEQ_REQUIRE_SERVERS") == "1"
    needs_one = item.get_closest_marker("server") or item.get_closest_marker("browser")
    if promised and needs_one and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: skipped although VAXSEQ_REQUIRE_SERVERS=1: {report.longrepr}"
    return report
