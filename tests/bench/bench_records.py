"""One record served: vaxseq's transform_records beside scikit-learn's ColumnTransformer on a one-row DataFrame.

python tests/bench/bench_records.py                  # 20 numbers and 10 categories a record
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import vaex

from vaxseq.features import FeatureSet

DEFINITION = {
    "inputs": {
        "numbers": {"features": [{"pattern": "x*", "steps": [{"impute": {"strategy": "mean"}}, "standardize"]}]},
        "codes": {"dtype": "int32", "features": [{"pattern": "c*", "steps": ["vocabulary"]}]},
    }
}


def seconds(call: Callable[[], Any], repeats: int) -> float:
    """Time of one call: the best of several rounds."""
    call()
    rounds = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        rounds.append((time.perf_counter() - start) / repeats)
    return min(rounds)


def measure(rows: int = 10_000, numbers: int = 20, categories: int = 10, repeats: int = 200) -> dict[str, float]:
    """Seconds for one record, ours and scikit-learn's, on the same fitted columns."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder, StandardScaler

    rng = np.random.default_rng(0)
    columns: dict[str, Any] = {f"x{i}": rng.normal(size=rows) for i in range(numbers)}
    columns |= {f"c{i}": rng.choice(["red", "green", "blue"], rows).astype(object) for i in range(categories)}
    frame = vaex.from_arrays(
        **{name: pa.array(column) if name[0] == "c" else column for name, column in columns.items()}
    )
    fitted = FeatureSet.from_dict(DEFINITION).fit(frame, progress=False)
    record = {name: column[0] if name[0] == "c" else float(column[0]) for name, column in columns.items()}

    table = pd.DataFrame(columns)
    names = list(table.columns)
    transformer = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), [name for name in names if name[0] == "x"]),
            ("codes", OrdinalEncoder(), [name for name in names if name[0] == "c"]),
        ]
    ).fit(table)
    row = table.iloc[:1]
    theirs = transformer.transform(row)[0, :numbers]
    assert np.allclose(fitted.transform_records(record)["numbers"][0], theirs, rtol=1e-5, atol=1e-6)
    return {
        "vaxseq_s": seconds(lambda: fitted.transform_records(record), repeats),
        "sklearn_s": seconds(lambda: transformer.transform(row), max(1, repeats // 10)),
    }


def main() -> None:
    """Print the two times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=1000)
    found = measure(repeats=parser.parse_args().repeats)
    ratio = found["sklearn_s"] / found["vaxseq_s"]
    print(f"vaxseq {found['vaxseq_s'] * 1e3:.3f} ms, scikit-learn {found['sklearn_s'] * 1e3:.3f} ms: {ratio:.1f} times")


if __name__ == "__main__":
    main()
