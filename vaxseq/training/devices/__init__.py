"""Where on a device a batch goes, and how: one backend a file, each of them a ``Placement``."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

from vaxseq.errors import OptionError
from vaxseq.training.backend import keras
from vaxseq.training.devices.placement import Leaves, Placement

__all__ = ["Leaves", "Placement", "check_device", "placement_of"]

_NAME = re.compile(r"(cpu|gpu|cuda|tpu|mps|xpu)(:\d+)?")


def check_device(device: Any) -> None:
    """Looks at the option alone: backends choose their devices when the first pass begins.

    Raises:
        OptionError: it can't be a device.
    """
    named = isinstance(device, str) and (device == "auto" or _NAME.fullmatch(device))
    sharding = hasattr(device, "device_set") and keras.backend.backend() == "jax"
    if device is not None and not named and not sharding:
        raise OptionError(
            f"device: got {device!r}, expected 'auto', None, a name as 'gpu:0', or with JAX a jax.sharding.Sharding"
        )


def placement_of(device: Any, *, cpu: bool = False) -> Placement | None:
    """How the backend's arrays get to a device; None if they're as well off in the host's memory.

    Args:
        device: a name, a sharding, or "auto" for what Keras works on in this thread.
        cpu: whether "auto" may also be the processor.

    Raises:
        OptionError: there is no such device.
    """
    backend = keras.backend.backend()
    if backend not in ("jax", "torch", "tensorflow"):
        return None
    family = import_module(f"vaxseq.training.devices.{backend}_devices")
    found: Placement | None = family.placement(device, cpu)
    return found
