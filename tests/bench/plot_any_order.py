"""The plot of rows a second over data/memory: of what ``bench_any_order.py --sizes`` printed, from standard input.

python tests/bench/bench_any_order.py --sizes --only ... > ours.txt; the same of others, at one size, > others.txt
cat ours.txt others.txt | python tests/bench/plot_any_order.py any_order.png
"""

from __future__ import annotations

import json
import math
import sys


def draw(runs: list[dict], path: str) -> None:
    """One line a loader, on a log axis; a point where it was measured at one size alone."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    axes.set_prop_cycle(color=[*mpl.colormaps["tab10"].colors, *mpl.colormaps["Dark2"].colors])
    drawn = set()
    for found in runs:
        for name, paces in found["rows_s"].items():
            if name in drawn:
                continue  # a plain read belongs to each run
            drawn.add(name)
            ours, alone = name.startswith(("columns", "store", "windows")), len(paces) == 1
            label = f"vaxseq: {name}" if ours else name
            if all(math.isnan(pace) for pace in paces):
                label += " (no batch)"
            style = {"marker": "x" if alone else "o", "markersize": 6 if alone else 3, "linewidth": 2 if ours else 1}
            axes.plot(found["sizes"], paces, label=label, **style)
    axes.axvline(1, color="#999999", linewidth=0.8, linestyle=":")
    axes.set(yscale="log", xlabel="data / memory", ylabel="rows a second")
    axes.grid(axis="y", linewidth=0.3)
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    draw([json.loads(line) for line in sys.stdin if line.startswith('{"rows"')], sys.argv[1])
