"""A Sequence's batches for other training loops: a torch DataLoader, a tf.data.Dataset."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from vaxseq.errors import MissingExtraError, OptionError
from vaxseq.training.augment_worker import flatten, unflatten

_TOGETHER, _TOGETHER_BYTES = 16, 8 << 20  # batches that enter TensorFlow at once: each time costs a millisecond
_LOOKED = 2  # batches that come one by one
_WORKERS = (
    "num_workers: each worker of a DataLoader would give all batches. Leave it out: the Sequence reads ahead itself "
    "(read_ahead=), in processes too (augment_workers=)."
)


class Batched(Protocol):
    """What a Sequence is to other loops: batches in order, the next epoch for each iterator."""

    def __iter__(self) -> Iterator[Any]: ...
    def __len__(self) -> int: ...
    def batch(self, epoch: int, index: int) -> Any:
        """One batch."""


def to_torch(sequence: Batched) -> Any:
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


def to_tf(sequence: Batched) -> Any:
    """A ``tf.data.Dataset``; each pass over it is the next epoch. It reads up to 16 batches ahead of its user.

    Raises:
        OptionError: weights without targets, which tf.data has no form for.
    """
    tf: Any = _imported("tensorflow", "tensorflow")
    first = _mapped(sequence.batch(0, 0), _array)
    if any(part is None for part in first):
        raise OptionError("to_tf: got weights but no targets, expected both. Add targets, or leave out pad=.")

    room = max(1, min(_TOGETHER, _TOGETHER_BYTES // max(1, sum(array.nbytes for array in flatten(first)[0]))))
    signature = _mapped(first, lambda array: tf.TensorSpec((None, None, *array.shape[1:]), array.dtype))
    groups = tf.data.Dataset.from_generator(lambda: _groups(sequence, room), output_signature=signature)
    batches = groups.flat_map(lambda *parts: tf.data.Dataset.from_tensor_slices(parts))
    return batches.apply(tf.data.experimental.assert_cardinality(len(sequence)))


def _groups(sequence: Batched, room: int) -> Iterator[Any]:
    """Neighbouring batches of one length, stacked: few at first, since who only looks at a batch reads no epoch."""
    held: list[Any] = []
    size = 1
    for number, batch in enumerate(sequence, 1):
        batch = _mapped(batch, _array)
        if held and _length(batch) != _length(held[0]):
            yield _stacked(held)
            held = []
        held.append(batch)
        if len(held) >= size:
            yield _stacked(held)
            held, size = [], min(room, 1 if number < _LOOKED else 2 * size)
    if held:
        yield _stacked(held)


def _stacked(batches: list[Any]) -> Any:
    columns = zip(*(flatten(batch)[0] for batch in batches), strict=True)
    together = [column[0][None] if len(column) == 1 else np.stack(column) for column in columns]
    return unflatten(together, flatten(batches[0])[1])


def _length(batch: Any) -> int:
    return len(flatten(batch)[0][0])


def _array(part: Any) -> Any:
    return part if isinstance(part, np.ndarray) else part.numpy()


def _mapped(batch: Any, change: Any) -> Any:
    arrays, form = flatten(batch)
    return unflatten([change(array) for array in arrays], form)


def _imported(name: str, extra: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtraError(f"{name} isn't installed. pip install 'vaxseq[{extra}]'") from error
