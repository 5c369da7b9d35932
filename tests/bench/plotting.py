"""The plot of the results: a panel a group, a bar a contender, as a share of the ceiling in the same run.

python tests/bench/plotting.py bench-output/results.json tests/bench/results.png in-order shuffled    # some groups
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

OURS, PEER, CEILING = "#2f6fbb", "#b8bec6", "#5d6672"


def plot(report: dict[str, Any], path: Path) -> None:
    """A PNG; nothing when matplotlib isn't installed."""
    try:
        import matplotlib as mpl
    except ModuleNotFoundError:
        print("no plot: matplotlib isn't installed")
        return
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    groups = [group for group in report["groups"] if group["table"]]
    heights = [0.9 + 0.27 * len(group["table"]) for group in groups]
    figure, panels = plt.subplots(
        len(groups), 1, figsize=(9, sum(heights)), height_ratios=heights, squeeze=False, layout="constrained"
    )
    for panel, group in zip(panels[:, 0], groups, strict=True):
        draw(panel, group)
    cores = report["machine"]["cores"]
    how = f"batches of {report['batch']:,} rows, {cores} cores, median of {report['rounds']} rounds"
    figure.supxlabel(f"million rows a second, on a log scale; {how}", fontsize=8)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def draw(panel: Any, group: dict[str, Any]) -> None:
    ceiling = next(iter(group["table"]))
    names = sorted(group["table"], key=lambda name: (name == ceiling, group["table"][name]["rows_per_s"]["median"]))
    rates = [group["table"][name]["rows_per_s"] for name in names]
    middles = [rate["median"] / 1e6 for rate in rates]
    colours = [
        OURS
        if name.startswith("vaxseq") or name.endswith((", store", ", lazy"))
        else CEILING
        if name == ceiling
        else PEER
        for name in names
    ]
    spread = [
        [(rate["median"] - rate["least"]) / 1e6 for rate in rates],
        [(rate["most"] - rate["median"]) / 1e6 for rate in rates],
    ]
    panel.barh(
        names, middles, color=colours, height=0.72, xerr=spread, error_kw={"ecolor": "#33383f", "elinewidth": 0.8}
    )
    panel.set_xscale("log")
    low, high = min(rate["least"] for rate in rates) / 1e6, max(rate["most"] for rate in rates) / 1e6
    panel.set_xlim(low / 2, high * 3)
    for place, (name, rate) in enumerate(zip(names, rates, strict=True)):
        text = f"{rate['median'] / 1e6:.3g}"
        if name != ceiling and "of_ceiling" in rate:
            text += f"  ({rate['of_ceiling']:.2g}×)"
        panel.text(rate["most"] / 1e6 * 1.12, place, text, va="center", fontsize=7.5)
    panel.set_title(f"{group['title']}  (×: of the top bar)", loc="left", fontsize=10, fontweight="bold")
    panel.tick_params(axis="y", labelsize=8, length=0)
    panel.tick_params(axis="x", labelsize=7.5)
    for side in ("top", "right", "left"):
        panel.spines[side].set_visible(False)


if __name__ == "__main__":
    source, target, *wanted = sys.argv[1:]
    results = json.loads(Path(source).read_text())
    results["groups"] = [one for one in results["groups"] if not wanted or one["group"] in wanted]
    plot(results, Path(target))
