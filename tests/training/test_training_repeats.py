"""Training on the shipped samples, balanced and augmented: the same seed gives the same weights, to the last bit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from prepared import PreparedPython

SCRIPT = Path(__file__).with_name("repeated_training.py")


@pytest.mark.backend
@pytest.mark.slow
def test_balanced_and_augmented_training_on_the_samples_repeats_in_another_process(
    tmp_path, keras_python: PreparedPython
):
    runs = []
    for number in range(2):
        (tmp_path / str(number)).mkdir()  # from the raw files both times
        done = keras_python.run([SCRIPT, tmp_path / str(number), "7"])
        assert done.returncode == 0, done.stderr
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    assert runs[0] == runs[1]
    assert len(set(runs[0].values())) == 3  # the seed decides
