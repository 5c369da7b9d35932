"""The contract that every step keeps to, as a class of tests for packages that bring steps of their own."""

from __future__ import annotations

import json
import math
import pickle
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vaxseq.expressions.values import Value, as_float, from_raw
from vaxseq.features.definition.blocks import write_step
from vaxseq.features.learners.base import Rows
from vaxseq.features.transforms.base import STEPS, Step, read_step
from vaxseq.features.transforms.chain import check_steps

__all__ = ["StepContract"]


class StepContract(ABC):
    """Subclass it in a test module, say what the step is and a column for it, and let pytest run it.

    ```python
    class TestWinsorize(StepContract):
        def step(self):
            return Winsorize(share=0.05)

        def column(self):
            return np.random.default_rng(0).normal(size=500)
    ```

    ``column`` should hold missing values, repeats and extremes, 200 rows or more. With ``expected`` the result is
    compared with a reference of yours; with ``in_keras`` False the step needs no Keras form.
    """

    in_keras = True
    tolerance = 1e-5  # of the Keras form, relative to the NumPy one and absolute

    @abstractmethod
    def step(self) -> Step:
        """The step, with its options."""

    @abstractmethod
    def column(self) -> Any:
        """A column that it takes: a NumPy array, a masked one, a pyarrow array."""

    def expected(self) -> Any:
        """What the step makes of the column, NaN where missing; None not to compare."""
        return None

    def test_its_options_are_written_and_read(self) -> None:
        """A definition file that is written and read again has the same step."""
        step = self.step()
        assert STEPS.get(step.name) is type(step), f"{step.name!r}: give the class a name, as name: ClassVar[str]"
        assert read_step(write_step(step)) == step
        assert step.docs, "docs: say in a line what it does"
        assert pickle.loads(pickle.dumps(step)) == step  # noqa: S301 - of its own making; executors send steps so

    def test_what_it_learns_is_json(self) -> None:
        """State is JSON, NaN excluded, and survives it."""
        learned = self._learned()
        assert json.loads(json.dumps(learned, allow_nan=False)) == learned

    def test_it_learns_the_same_from_any_blocks(self) -> None:
        """One block, many blocks, and learners of stretches that are merged in order give the same state."""
        value = self._value()
        whole = self._learned(1)
        assert _alike(self._learned(7), whole)
        learners = []
        for rows in np.array_split(np.arange(len(value)), 3):
            learner = self.step().learner()
            if learner is None:
                assert whole == {}
                return
            for part in np.array_split(rows, 2):
                learner.update(value.take(part), Rows(part))
            learners.append(pickle.loads(pickle.dumps(learner)))  # noqa: S301 - of its own making, as above
        for later in learners[1:]:
            learners[0].merge(later)
        assert _alike(json.loads(json.dumps(learners[0].finish())), whole)

    def test_it_works_row_by_row(self) -> None:
        """The whole column, any blocks of it, single rows and no rows at all give the same values."""
        value, learned = self._value(), self._learned()
        apply = self.step().compile(learned)
        whole = _plain(apply(value))
        assert len(whole) == len(value)
        parts = [_plain(apply(value.take(rows))) for rows in np.array_split(np.arange(len(value)), 7)]
        _same(np.concatenate(parts), whole)
        for row in range(0, len(value), max(1, len(value) // 20)):
            _same(_plain(apply(value.slice(row, row + 1))), whole[row : row + 1])
        assert len(apply(value.slice(0, 0))) == 0

    def test_it_leaves_its_input_alone(self) -> None:
        """Blocks are memory-mapped files: nothing writes into them."""
        value, learned = self._value(), self._learned()
        before = _plain(value).copy()
        if isinstance(value.data, np.ndarray):
            value.data.setflags(write=False)
        self.step().compile(learned)(value)
        _same(_plain(value), before)

    def test_missing_values_are_as_it_says(self) -> None:
        """``missing_rule``: keeps, handles or makes."""
        value, learned = self._value(), self._learned()
        after, before = self.step().compile(learned)(value).is_missing(), value.is_missing()
        rule = self.step().sees_missing
        if rule == "handles":
            assert not after.any(), "handles: nothing is missing after it"
        if rule == "keeps":
            np.testing.assert_array_equal(after, before, "keeps: what is missing stays so, and nothing else is")
        if rule == "makes":
            assert after[before].all(), "makes: what is missing stays so"

    def test_it_is_checked_before_anything_is_learned(self) -> None:
        """A definition is checked on zero rows, with ``placeholder`` in the place of what will be learned."""
        checked = check_steps(self._value().slice(0, 0), [self.step()])
        assert len(checked) == 0

    def test_its_keras_form_gives_the_same_numbers(self) -> None:
        """In float32, to the tolerance; from ``encode`` on where there is one."""
        if not self.in_keras:
            return
        from vaxseq.training.backend import keras

        step, value, learned = self.step(), self._value(), self._learned()
        encode = step.encode(learned)
        given = value if encode is None else encode(value)
        x = as_float(given).data.astype(np.float32) if given.kind == "float" else np.asarray(given.data)
        if encode is None:
            x = as_float(value).data.astype(np.float32)
        made = np.asarray(keras.ops.convert_to_numpy(step.keras(keras.ops, keras.ops.convert_to_tensor(x), learned)))
        wanted = as_float(step.compile(learned)(value)).data
        np.testing.assert_allclose(made, wanted, rtol=self.tolerance, atol=self.tolerance)

    def test_it_is_what_the_reference_says(self) -> None:
        """Compared with ``expected``, if there is one."""
        expected = self.expected()
        if expected is not None:
            _same(_plain(self.step().compile(self._learned())(self._value())), np.asarray(expected), close=True)

    def _value(self) -> Value:
        return from_raw(self.column())

    def _learned(self, blocks: int = 3) -> dict[str, Any]:
        value, learner = self._value(), self.step().learner()
        if learner is None:
            return {}
        for rows in np.array_split(np.arange(len(value)), blocks):
            learner.update(value.take(rows), Rows(rows))
        return dict(json.loads(json.dumps(learner.finish())))


def _alike(found: Any, wanted: Any) -> bool:
    """Equal, floats to 12 digits: a sum's last bits depend on the blocks, which a fit always cuts alike."""
    if isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(_alike(found[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(_alike(a, b) for a, b in zip(found, wanted, strict=True))
    if isinstance(wanted, float):
        return math.isclose(found, wanted, rel_tol=1e-12, abs_tol=1e-12)
    return bool(found == wanted)


def _plain(value: Value) -> npt.NDArray[Any]:
    """Numbers as float64 with NaN where missing; texts and times as objects, None where missing."""
    if isinstance(value.data, pa.Array):
        return np.array([*value.data.to_pylist(), None], dtype=object)[:-1]
    if value.data.dtype.kind in "Mm":
        return np.asarray(value.data)
    return np.asarray(as_float(value).data)


def _same(found: npt.NDArray[Any], wanted: npt.NDArray[Any], *, close: bool = False) -> None:
    if close and found.dtype.kind == "f":
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)
    else:
        np.testing.assert_array_equal(found, wanted)
