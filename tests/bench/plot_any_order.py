"""The plot of rows a second over data/memory: what ``bench_any_order.py --sizes`` printed last, from standard input.

python tests/bench/bench_any_order.py --sizes --only ... | python tests/bench/plot_any_order.py any_order.png
"""

from __future__ import annotations

import json
import sys


def draw(found: dict, path: str) -> None:
    """One line a loader, on a log axis."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for name, paces in found["rows_s"].items():
        ours = name.startswith(("columns", "store", "windows"))
        axes.plot(found["sizes"], paces, marker="o", markersize=3, linewidth=2 if ours else 1, label=name)
    axes.axvline(1, color="#999999", linewidth=0.8, linestyle=":")
    axes.set(yscale="log", xlabel="data / memory", ylabel="rows a second")
    axes.grid(axis="y", linewidth=0.3)
    axes.legend(fontsize=8, frameon=False)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    draw(json.loads(sys.stdin.read().splitlines()[-1]), sys.argv[1])
