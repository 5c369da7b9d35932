"""Where keras is imported, with a word on what to install if that fails.

The room itself imports nothing: the processes that augment batches start in a tenth of the time without Keras.
"""

import os
from importlib.util import find_spec

from vaxseq.errors import MissingExtraError

try:
    import keras
except (ImportError, ValueError) as error:  # ValueError: KERAS_BACKEND names no backend
    asked = os.environ.get("KERAS_BACKEND", "tensorflow")
    others = [name for name in ("jax", "torch", "tensorflow") if name != asked and find_spec(name)]
    here = f"Set KERAS_BACKEND={others[0]} in the environment ({', '.join(others)}: installed), or " if others else ""
    install = "install one, as pip install 'vaxseq[jax]', and let KERAS_BACKEND name it"
    remedy = here + (install if here else install[0].upper() + install[1:])
    raise MissingExtraError(f"keras: can't load its backend ({error}). {remedy}.") from error

__all__ = ["keras"]
