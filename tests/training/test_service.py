"""The service of the reference starts, answers, and refuses a record with the reason."""

from __future__ import annotations

import re
import socket
import time
from pathlib import Path

import httpx
import keras
import numpy as np
import pandas as pd
import pytest
from prepared import PreparedProcess, PreparedPython

import vaxseq as vs
from vaxseq.reference import page

DEFINITION = {
    "inputs": {"x": {"features": [{"column": "a", "steps": ["standardize"]}, {"column": "way", "steps": ["one_hot"]}]}},
    "targets": {"y": {"column": "y", "steps": ["standardize"]}},
}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.slow
def test_the_service_of_the_reference(tmp_path: Path, keras_python: PreparedPython) -> None:
    rng = np.random.default_rng(0)
    way = rng.choice(["up", "down"], 200)
    data = pd.DataFrame({"a": rng.normal(size=200), "way": way, "y": rng.normal(50, 5, 200)})
    fitted = vs.FeatureSet.from_dict(DEFINITION).fit(data, progress=False)
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(1)])
    fitted.save(tmp_path / "fitted.json")
    model.save(tmp_path / "model.keras")
    [code] = re.findall(r"^```python service\n(.*?)^```$", page("exporting"), flags=re.MULTILINE | re.DOTALL)
    assert len(code.splitlines()) <= 30
    (tmp_path / "service.py").write_text(code)
    port = free_port()
    command = ["-m", "uvicorn", "service:app", "--port", str(port), "--log-level", "error"]
    log = (tmp_path / "log").open("w")
    with log, keras_python.popen(command, cwd=tmp_path, stderr=log, stdout=log) as service:
        try:
            at = f"http://127.0.0.1:{port}"
            wait_for(at, service, tmp_path / "log")
            records = [{"a": 0.5, "way": "up"}, {"a": -1.0, "way": "sideways"}]
            answer = httpx.post(f"{at}/predict", json=records, timeout=60)
            predicted = model.predict(fitted.transform_records(records)["x"], verbose=0)[:, 0]
            expected = fitted.inverse_transform("y", predicted)
            assert answer.status_code == 200, answer.text
            np.testing.assert_allclose(answer.json()["predictions"], expected, rtol=1e-6)
            refused = httpx.post(f"{at}/predict", json=[{"a": "x", "way": "up"}], timeout=60)
            assert refused.status_code == 422
            assert "'a'" in refused.json()["detail"]
            document = httpx.get(f"{at}/openapi.json", timeout=60).json()
            body = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
            assert body["items"]["properties"]["a"] == {"type": "number"}
        finally:
            service.terminate()
            service.wait(20)


def wait_for(at: str, service: PreparedProcess, log: Path) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        assert service.poll() is None, log.read_text()
        try:
            assert httpx.get(f"{at}/health", timeout=5).status_code == 200
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"no answer: {log.read_text()}")
