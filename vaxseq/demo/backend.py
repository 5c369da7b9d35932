"""Which Keras backend to run on."""

from __future__ import annotations

import json
import os
import sys
from importlib.util import find_spec

from vaxseq.errors import MissingExtraError

# In the order of preference: JAX is the smallest to install and the quickest a step.
_PACKAGES = {"jax": "jax", "torch": "torch", "tensorflow": "tensorflow"}


def choose_backend() -> tuple[str, str]:
    """Settle the Keras backend before Keras is imported.

    Returns:
        Its name, and who chose it, for a person to read.

    Raises:
        MissingExtraError: no backend is installed, or the one asked for isn't.
    """
    if "keras" in sys.modules:
        return str(sys.modules["keras"].config.backend()), "Keras was loaded with it"
    installed = [name for name, package in _PACKAGES.items() if find_spec(package)]
    asked = os.environ.get("KERAS_BACKEND")
    if asked:
        if asked in _PACKAGES and asked not in installed:
            raise MissingExtraError(
                f"KERAS_BACKEND: {asked} isn't installed; installed: {', '.join(installed) or 'none'}. "
                f"Run: pip install 'vaxseq[{asked}]', or unset KERAS_BACKEND."
            )
        return asked, "named by KERAS_BACKEND"
    if not installed:
        raise MissingExtraError("keras: no backend is installed. Run: pip install 'vaxseq[jax]'")
    os.environ["KERAS_BACKEND"] = installed[0]
    return installed[0], "picked among the installed: " + json.dumps(installed)[1:-1].replace('"', "")
