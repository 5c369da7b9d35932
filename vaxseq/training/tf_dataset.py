"""A Sequence's batches in TensorFlow: whole chunks enter a tf.data.Dataset and are cut into batches there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from vaxseq.errors import OptionError
from vaxseq.training.backend import keras
from vaxseq.training.batches import Batch
from vaxseq.training.joined_batches import joined
from vaxseq.training.torch_dataset import imported

_AHEAD = 2  # batches


def tf_dataset(passes: Callable[[], Iterator[Batch]], looked_at: list[Batch], length: int | None) -> Any:
    """A ``tf.data.Dataset``; each walk over it is another of the ``passes``. It reads up to 64 batches ahead.

    Args:
        passes: called when a walk begins, in a thread of TensorFlow's.
        looked_at: batches of the shapes and types to come; where they differ in a length, others may too.
        length: how many batches a walk has, if that never changes.

    Raises:
        OptionError: weights without targets, which tf.data has no form for.
    """
    tf: Any = imported("tensorflow", "tensorflow")
    form = looked_at[0]
    leaves = [[_array(leaf) for leaf in keras.tree.flatten(batch)] for batch in looked_at]
    if any(leaf is None for leaf in leaves[0]):
        raise OptionError("to_tf: got weights but no targets, expected both. Add targets, or leave out pad=.")
    signature = tuple(
        tf.TensorSpec((None, *(a if len({a, *others}) == 1 else None for a, *others in dims)), same[0].dtype)
        for same in zip(*leaves, strict=True)
        for dims in [list(zip(*(leaf.shape[1:] for leaf in same), strict=True))]
    )
    chunks = tf.data.Dataset.from_generator(
        lambda: _chunks(passes()), output_signature=(tf.TensorSpec((), tf.int64), signature)
    ).prefetch(1)

    def cut(size: Any, arrays: Any) -> Any:
        rows = tf.shape(arrays[0], out_type=tf.int64)[0]

        def batch(number: Any) -> Any:
            start = number * size
            stop = tf.minimum(start + size, rows)
            return keras.tree.pack_sequence_as(form, [array[start:stop] for array in arrays])

        return tf.data.Dataset.range((rows + size - 1) // size).map(batch)

    batches = chunks.flat_map(cut).prefetch(_AHEAD)  # cut in another thread than the one that trains
    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = False  # they take longer than they save
    # a strategy over several workers would look for files to share out; the Sequence's shard= has shared out the rows
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    batches = batches.with_options(options)
    return batches if length is None else batches.apply(tf.data.experimental.assert_cardinality(length))


def _chunks(batches: Iterator[Batch]) -> Iterator[tuple[np.int64, tuple[Any, ...]]]:
    leaves = ([_array(leaf) for leaf in keras.tree.flatten(batch)] for batch in batches)
    return ((np.int64(size), arrays) for size, arrays in joined(leaves))


def _array(leaf: Any) -> Any:
    return leaf if leaf is None or isinstance(leaf, np.ndarray) else np.asarray(leaf)
