"""A Sequence's batches for a loop in torch: a DataLoader."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from vaxseq.errors import MissingExtraError, OptionError
from vaxseq.training.augment_worker import flatten, unflatten
from vaxseq.training.batches import Batch

_WORKERS = (
    "num_workers: each worker of a DataLoader would give all batches. Leave it out: the Sequence reads ahead itself "
    "(read_ahead=), in processes too (augment_workers=)."
)


def torch_loader(passes: Callable[[], Iterator[Batch]], length: Callable[[], int]) -> Any:
    """A ``torch.utils.data.DataLoader``; each walk over it is another of the ``passes``.

    Raises:
        OptionError: later, if its dataset is given to workers.
    """
    torch: Any = imported("torch", "torch")

    class Batches(torch.utils.data.IterableDataset):
        def __iter__(self) -> Iterator[Any]:
            if torch.utils.data.get_worker_info() is not None:
                raise OptionError(_WORKERS)
            for batch in passes():
                yield mapped(batch, torch.as_tensor)

        def __len__(self) -> int:
            return length()

        def __reduce__(self) -> Any:
            raise OptionError(_WORKERS)

    return torch.utils.data.DataLoader(Batches(), batch_size=None)


def mapped(batch: Any, change: Callable[[Any], Any]) -> Any:
    """The batch with each of its arrays changed."""
    arrays, form = flatten(batch)
    return unflatten([change(array) for array in arrays], form)


def imported(name: str, extra: str) -> Any:
    """An optional package.

    Raises:
        MissingExtraError: it isn't installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtraError(f"{name} isn't installed. pip install 'vaxseq[{extra}]'") from error
