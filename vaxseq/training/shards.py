"""Which of several training processes this is."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from vaxseq.errors import OptionError


def shard_of(shard: Any) -> tuple[int, int]:
    """(index, count) of this process's share of the batches.

    "auto" asks, in this order: torch.distributed, if it is initialized; jax, if it runs in several processes;
    TF_CONFIG; RANK and WORLD_SIZE. One process otherwise.

    >>> shard_of(None), shard_of((1, 4))
    ((0, 1), (1, 4))
    """
    if shard is None:
        return 0, 1
    if shard == "auto":
        return _from_torch() or _from_jax() or _from_tf_config() or _from_environment() or (0, 1)
    if not isinstance(shard, (tuple, list)) or len(shard) != 2 or not all(isinstance(part, int) for part in shard):
        raise OptionError(f"shard: got {shard!r}, expected (index, count) or 'auto'")
    index, count = shard
    if not 0 <= index < count:
        raise OptionError(f"shard: got {shard!r}, expected an index from 0 to count - 1")
    return index, count


def _from_torch() -> tuple[int, int] | None:
    torch = sys.modules.get("torch")  # a process group can't have been made without it
    if torch is None or not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return None
    return torch.distributed.get_rank(), torch.distributed.get_world_size()


def _from_jax() -> tuple[int, int] | None:
    jax = sys.modules.get("jax")
    if jax is None or jax.process_count() == 1:
        return None
    return jax.process_index(), jax.process_count()


def _from_tf_config() -> tuple[int, int] | None:
    text = os.environ.get("TF_CONFIG")
    if not text:
        return None
    try:
        config = json.loads(text)
        cluster, task = config["cluster"], config["task"]
        workers = ["chief"] * len(cluster.get("chief", [])) + ["worker"] * len(cluster.get("worker", []))
        before = len(cluster.get("chief", [])) if task["type"] == "worker" else 0
        return before + int(task["index"]), len(workers)
    except (KeyError, TypeError, ValueError) as error:
        raise OptionError(f"shard='auto': TF_CONFIG can't be read ({error}); got {text[:80]!r}") from error


def _from_environment() -> tuple[int, int] | None:
    rank, count = os.environ.get("RANK"), os.environ.get("WORLD_SIZE")
    if rank is None or count is None:
        return None
    try:
        return shard_of((int(rank), int(count)))
    except ValueError as error:
        raise OptionError(f"shard='auto': RANK={rank!r}, WORLD_SIZE={count!r}; expected whole numbers") from error
