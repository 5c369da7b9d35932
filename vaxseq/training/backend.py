"""Where keras is imported, with a word on what to install if that fails.

The room itself imports nothing: the processes that augment batches start in a tenth of the time without Keras.
"""

from vaxseq.errors import MissingExtraError

try:
    import keras
except (ImportError, ValueError) as error:  # ValueError: KERAS_BACKEND names no backend
    raise MissingExtraError(
        f"keras: can't load its backend ({error}). Install one, as pip install 'vaxseq[jax]', and let KERAS_BACKEND "
        "name it: jax, torch or tensorflow"
    ) from error

__all__ = ["keras"]
