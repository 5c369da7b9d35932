"""What a Sequence says of itself when it is printed: nothing is read for it but a few rows, and no backend begins."""

from __future__ import annotations

from vaxseq.features.program.recipe import Recipe, Role
from vaxseq.loading.scatter.expectation import Expectation
from vaxseq.plan.stateful_lanes import Lanes
from vaxseq.training.device_feed import DeviceFeed
from vaxseq.training.epochs import EpochPart
from vaxseq.training.examples import Examples
from vaxseq.training.pipeline import Pipeline


def summary(
    items: Examples, recipe: Recipe, pipeline: Pipeline, whole: EpochPart, feed: DeviceFeed, cost: Expectation | None,
    n_rows: int,
) -> list[tuple[str, str]]:  # fmt: skip
    """Lines of a word and what is to be said of it; ``n_rows`` are the data's, ``cost`` what its order costs."""
    plan, loader = whole.plan, whole.loader
    of = "" if items.index.n == n_rows else f" of {n_rows:,} rows"
    shard = "" if plan.shard_count == 1 else f", shard {plan.shard_index} of {plan.shard_count}"
    order = f"shuffled ({plan.shuffle}), seed {plan.seed}" if plan.shuffle else "in the data's order"
    lines = [
        (items.unit, f"{items.index.n:,}{of}"),
        ("batches", f"{plan.num_batches:,} of {plan.batch_size:,} rows{shard}"),
        ("order", order),
    ]
    if isinstance(plan.resampling, Lanes):
        lines.append(("lanes", f"{plan.resampling.count:,} of {plan.resampling.length:,} windows"))
    elif plan.resampling is not None:
        lines.append(("balance", f"{plan.n_items:,} draws an epoch"))
    roles: tuple[Role, ...] = ("input", "target", "weight")
    for role in roles:
        for field in recipe.of(role):
            lines.append((role, f"{field.name}: {field.dtype}, shape {('batch', *field.shape)}".replace("'", "")))
    way = pipeline.way(plan)
    if way.kind != "memory":
        lines.append(("reading", str(way)))
    if cost is not None:
        lines.append(("expected", str(cost)))
    batch_bytes = plan.batch_size * loader.row_bytes
    chunk = loader.chunk_batches
    held = "a batch" if chunk == 1 else f"a chunk of {chunk} batches"
    lines.append(("memory", f"{chunk * batch_bytes / 1e6:.1f} MB {held}, index {items.nbytes / 1e6:.1f} MB"))
    if (said := feed.said(batch_bytes)) is not None:
        lines.append(("device", said))
    return lines
