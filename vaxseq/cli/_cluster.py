"""``--scheduler``: a Dask cluster as the executor that convert, fit, materialize and verify take."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

_TIMEOUT_S = 10


@contextmanager
def cluster(address: str | None) -> Iterator[Executor | None]:
    """The executor of the scheduler at ``address``; None without one.

    Raises:
        MissingExtraError: distributed isn't installed.
        OptionError: no scheduler answers there, or it has no workers.
    """
    if address is None:
        yield None
        return
    from vaxseq.errors import MissingExtraError, OptionError

    try:
        from distributed import Client, KilledWorker
    except ImportError as error:
        raise MissingExtraError("--scheduler: distributed isn't installed. pip install 'vaxseq[dask]'") from error
    try:
        client = Client(address, timeout=_TIMEOUT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise OptionError(
            f"--scheduler: no Dask scheduler answers; got {address!r}: {error}. Start one with dask scheduler."
        ) from error
    with client:
        if not client.scheduler_info()["workers"]:
            raise OptionError(
                f"--scheduler: got {address!r}, a scheduler without workers. Start some with dask worker {address}."
            )
        # a unit's work is files that it writes, so an equal call must run again and not be remembered
        try:
            yield client.get_executor(pure=False)
        except KilledWorker as error:
            raise OptionError(
                f"--scheduler: workers ended again and again at the same unit ({error}). "
                "They may have run out of memory; the same command goes on."
            ) from error
