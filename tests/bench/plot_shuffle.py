"""The plot of the three orders that the reference shows, drawn from the orders themselves.

python tests/bench/plot_shuffle.py                   # writes tests/bench/shuffle_quality.png
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from vaxseq.plan.plan import BatchPlan
from vaxseq.plan.quality import quality

ORDERS = {"shuffle=False": False, 'shuffle="block"': "block", 'shuffle="global"': "global"}
ROWS, BATCH, BATCHES, LABELS = 2_000_000, 1024, 768, 10
INK, QUIET = "#2f6fbb", "#5d6672"


def draw(plan: BatchPlan, title: str, above: Any, below: Any) -> Any:
    """Above, which row stands where; below, how often each of ten labels comes in the first batches."""
    order = plan.ordered(0, 0, plan.n_items)
    places = np.sort(np.random.default_rng(0).choice(plan.n_items, 4000, replace=False))
    above.scatter(places / 1e6, order[places] / 1e6, s=1.2, color=INK, linewidths=0, rasterized=True)
    found = quality(plan)
    above.set_title(title, loc="left", fontsize=10, fontweight="bold", family="monospace")
    above.set_xlabel("place in the epoch, million", fontsize=8)
    batches = min(BATCHES, plan.n_items // BATCH)
    labels = order[: BATCH * batches].reshape(batches, BATCH) * LABELS // plan.n_items
    shares = np.stack([np.bincount(batch, minlength=LABELS) / BATCH for batch in labels], axis=1)
    image = below.imshow(shares, aspect="auto", cmap="Blues", vmin=0, vmax=0.3, origin="lower", interpolation="nearest")
    below.set_xlabel("batch", fontsize=8)
    runs = f"{found.run_length:,.2f}" if found.run_length < 100 else f"{found.run_length:,.0f}"
    below.set_title(
        f"correlation of neighbours {abs(found.lag1):.2f} (0)\n"
        f"runs of one label {runs} ({found.run_length_uniform:.2f})\n"
        f"spread of batch means {found.batch_spread:.1f} (1)",
        loc="left", fontsize=7.5, color=QUIET,
    )  # fmt: skip
    for panel in (above, below):
        panel.tick_params(labelsize=7.5, length=2)
        for side in ("top", "right"):
            panel.spines[side].set_visible(False)
    return image


def plot(path: Path, rows: int) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(2, 3, figsize=(9, 4.8), height_ratios=(3, 2), layout="constrained", sharey="row")
    for (title, shuffle), above, below in zip(ORDERS.items(), *panels, strict=True):
        image = draw(BatchPlan(rows, BATCH, shuffle=shuffle), title, above, below)  # type: ignore[arg-type]
    panels[0, 0].set_ylabel("row of the data, million", fontsize=8)
    panels[1, 0].set_ylabel("label, sorted", fontsize=8)
    bar = figure.colorbar(image, ax=panels[1], label="share of a batch", pad=0.01)
    bar.ax.tick_params(labelsize=7.5)
    bar.set_label("share of a batch", fontsize=8)
    figure.savefig(path, dpi=105, metadata={"Software": None}, pil_kwargs={"optimize": True})
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("shuffle_quality.png"))
    parser.add_argument("--rows", type=int, default=ROWS)
    options = parser.parse_args()
    plot(options.output, options.rows)


if __name__ == "__main__":
    main()
