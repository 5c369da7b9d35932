"""A Sequence's batches for other training loops: a torch DataLoader, a tf.data.Dataset."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from vaxseq.errors import MissingExtraError, OptionError

if TYPE_CHECKING:
    from vaxseq.training.sequence import Sequence

_WORKERS = (
    "num_workers: each worker of a DataLoader would give all batches. Leave it out: the Sequence reads ahead itself "
    "(read_ahead=), in processes too (augment_workers=)."
)


def to_torch(sequence: Sequence) -> Any:
    """A ``torch.utils.data.DataLoader``; each pass over it is the next epoch.

    Raises:
        OptionError: later, if its dataset is given to workers.
    """
    torch: Any = _imported("torch", "torch")

    class Batches(torch.utils.data.IterableDataset):
        def __iter__(self) -> Iterator[Any]:
            if torch.utils.data.get_worker_info() is not None:
                raise OptionError(_WORKERS)
            for batch in sequence:
                yield _mapped(batch, torch.as_tensor)

        def __len__(self) -> int:
            return len(sequence)

        def __reduce__(self) -> Any:
            raise OptionError(_WORKERS)

    return torch.utils.data.DataLoader(Batches(), batch_size=None)


def to_tf(sequence: Sequence) -> Any:
    """A ``tf.data.Dataset``; each pass over it is the next epoch.

    Raises:
        OptionError: weights without targets, which tf.data has no form for.
    """
    tf: Any = _imported("tensorflow", "tensorflow")
    first = _mapped(sequence.batch(0, 0), _array)
    if any(part is None for part in first):
        raise OptionError("to_tf: got weights but no targets, expected both. Add targets, or leave out pad=.")

    def batches() -> Iterator[Any]:
        for batch in sequence:
            yield _mapped(batch, _array)

    signature = _mapped(first, lambda array: tf.TensorSpec((None, *array.shape[1:]), array.dtype))
    count = tf.data.experimental.assert_cardinality(len(sequence))
    return tf.data.Dataset.from_generator(batches, output_signature=signature).apply(count)


def _array(part: Any) -> Any:
    return part if isinstance(part, np.ndarray) else part.numpy()


def _mapped(batch: Any, change: Any) -> Any:
    def one(part: Any) -> Any:
        if isinstance(part, dict):
            return {name: change(array) for name, array in part.items()}
        return None if part is None else change(part)

    return tuple(one(part) for part in batch)


def _imported(name: str, extra: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtraError(f"{name} isn't installed. pip install 'vaxseq[{extra}]'") from error
