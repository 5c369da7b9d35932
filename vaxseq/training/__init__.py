"""The only room that imports keras: Sequence and what stands around model.fit."""

from vaxseq.errors import MissingExtraError

try:
    import keras as keras
except (ImportError, ValueError) as error:  # ValueError: KERAS_BACKEND names no backend
    raise MissingExtraError(
        f"keras: can't load its backend ({error}). Install one, as pip install 'vaxseq[jax]', and let KERAS_BACKEND "
        "name it: jax, torch or tensorflow"
    ) from error
