"""What vaex, Keras and JAX do in each process of the tests again and again, done once or not at all."""

from __future__ import annotations

import importlib.util
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, SimpleNamespace
from typing import Any

really_sync = os.fsync

QUICKLY = "JAX_DISABLE_MOST_OPTIMIZATIONS"  # JAX reads it when it is imported, which is too early in a fork
COMPILED = "VAXSEQ_TEST_COMPILED"  # the folder that keeps what JAX compiles, for all processes of a run


def sync_nothing() -> None:
    """What is written isn't waited for until a disk has it, which was most of the time of a small conversion.

    No test cuts the power, and what a killed process has written is in its file without. What isn't open is an error
    as ever. Programs that start anew (``sys.executable``) wait for the disk.
    """

    def checked(file: Any) -> None:
        os.fstat(file if isinstance(file, int) else file.fileno())

    os.fsync = os.fdatasync = checked


def make_leaner() -> None:
    """When vaex is imported; and Keras, for a process on JAX."""
    leave_stacks_out()
    if os.environ.get("KERAS_BACKEND") != "jax" or "keras" not in sys.modules:
        return
    # set_random_seed seeds TensorFlow, too, wherever it is installed, and imports it for that
    sys.modules["keras.src.utils.rng_utils"].tf = SimpleNamespace(available=False)  # type: ignore[attr-defined]
    share_compilations(os.environ[COMPILED])


def leave_stacks_out() -> None:
    """vaex prints its stack into a text at each computation, for errors of its own; under pytest the stack is deep."""
    format_stack = traceback.format_stack

    def for_others(frame: FrameType | None = None, limit: int | None = None) -> list[str]:
        caller = sys._getframe(1)
        if caller.f_globals.get("__name__") in ("vaex.dataframe", "vaex.execution", "vaex.progress"):
            return []
        return format_stack(frame or caller, limit)

    traceback.format_stack = for_others


def share_compilations(folder: str) -> None:
    """The same small models are compiled again and again; files come whole, also for a process that reads meanwhile."""
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    if importlib.util.find_spec("jax._src.lru_cache") is None:  # another JAX: it compiles again and again
        return
    from jax._src.lru_cache import LRUCache

    def put(self: Any, key: str, value: bytes) -> None:
        path = self.path / f"{key}-cache"
        if not path.exists():
            draft = path.with_name(f"{path.name}.{os.getpid()}")
            draft.write_bytes(value)
            draft.replace(path)

    LRUCache.put = put  # type: ignore[method-assign]
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    compilation_cache.reset_cache()  # what was compiled before may have found no folder


@contextmanager
def compiled_quickly() -> Iterator[None]:
    """JAX compiles without most optimizations, for half of the time: where it matters neither how fast nor which bits.

    Programs of before and after are compiled as ever: the precision, that a processor has anyway, tells them apart.
    """
    if os.environ.get("KERAS_BACKEND") != "jax":
        yield
        return
    import jax

    quick = {"jax_disable_most_optimizations": True, "jax_default_matmul_precision": "highest"}
    before = {name: jax.config.values[name] for name in quick}
    for name, value in quick.items():
        jax.config.update(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)


def heed_environment() -> None:
    """What the environment says to a JAX that is imported already."""
    if "jax" in sys.modules and os.environ.get(QUICKLY) == "1":
        sys.modules["jax"].config.update("jax_disable_most_optimizations", True)
