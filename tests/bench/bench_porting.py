"""Three datasets as people write them, what the profile says of each, and each ported to vaxseq, step by step.

python tests/bench/bench_porting.py                  # a table; --json for plain values

PerItem works row by row in ``__getitem__``; Slices reads rows of an HDF5 file in a random order; Pooled sends its
images to a process pool and back. Each is read as ``model.fit`` reads it: batches in a random order.
"""

from __future__ import annotations

import argparse
import json
import os

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("JAX_PLATFORMS", "cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--seconds", type=float, default=6.0, help="for each step")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    from porting import measure  # not above: the pool's processes import this file, too

    found = measure(options.rows, options.seconds)
    if options.json:
        print(json.dumps(found))
        return
    for row in found:
        if row["step"] == "as it was":
            print(f"\n{row['class']}\n  the profile: {row['advice']}")
        print(f"  {row['step']:44} {row['rows_per_s']:14,.0f} rows/s {row['gain']:8.1f}×")


if __name__ == "__main__":
    main()
