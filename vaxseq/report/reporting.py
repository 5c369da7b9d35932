"""``report``: explore the data and its parts, look for drift and leaks, and write one HTML page."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaxseq.dataset.processes import with_workers
from vaxseq.display.tables import Display
from vaxseq.errors import ColumnNotFoundError, OptionError, SourceNotFoundError, did_you_mean
from vaxseq.frame import frame_of, source_of
from vaxseq.report.drift import Drift, drift
from vaxseq.report.exploration import Exploration, explore
from vaxseq.report.facts import column_facts
from vaxseq.report.findings import Finding, findings
from vaxseq.report.leaks import alone, overlapping_times, shared
from vaxseq.report.noticed import noticed
from vaxseq.report.page import MARK, Contents, as_part, page

if TYPE_CHECKING:
    from vaxseq.features import FittedFeatures

_PREVIEW_ROWS = 256
_PREVIEW_PLACES = 16


class Report:
    """Where the page is, and what it says is to look at."""

    def __init__(self, path: Path, found: Sequence[Finding]) -> None:
        self.path, self.findings = path, tuple(found)

    def __repr__(self) -> str:
        said = [f"{one.title}: {one.text}" for one in self.findings] or ["nothing stands out"]
        return "\n".join([f"{self.path}", *said])


def report(
    data: Any,
    path: str | os.PathLike[str] = "report.html",
    features: FittedFeatures | str | os.PathLike[str] | None = None,
    splits: Mapping[str, Any] | None = None,
    *,
    groups: str | Sequence[str] = (),
    profile: Any = None,
    title: str | None = None,
    executor: Executor | None = None,
    progress: bool = True,
) -> Report:
    """Write a report of the data, its features and its parts: one HTML page that works offline.

    It shows each column's distribution, in each part; missing values; drift from the first part to the others;
    the targets' balance; features that tell a target alone; groups and times in two parts; what was learned.

    Args:
        data: a table (vaex, pandas, polars, Arrow, DuckDB, a dict of arrays) or a dataset's path.
        path: the file to write.
        features: fitted features, or their state file.
        splits: part name -> frame or path, as ``split`` gives them. The first is the reference.
        groups: columns whose values must not lie in two parts, as ``"patient"``; those of the definition's
            window are known.
        profile: what ``profile`` gave, to be shown with it.
        title: of the page; the file's name by default.
        executor: any ``concurrent.futures.Executor`` to share the columns of each part with; the page is the same.
        progress: shows a bar when standard error is a terminal.

    Returns:
        The path, and the ``findings`` as the page has them.

    Raises:
        OptionError: no part.
        SourceNotFoundError: the folder of ``path`` isn't there.
        ColumnNotFoundError: a group that isn't a column.
    """
    fitted = _fitted(features)
    if splits is not None and not (isinstance(splits, Mapping) and splits):
        got = type(splits).__name__ if splits else "no part"
        raise OptionError(f"splits: got {got}, expected names with frames. Leave it out for a report of the whole")
    if profile is not None and not hasattr(profile, "_repr_html_"):
        raise OptionError(f"profile: got {type(profile).__name__}, expected what vaxseq.profile returns")
    target = Path(path)
    _check_replaceable(target)
    if not target.parent.is_dir():
        raise SourceNotFoundError(f"{target}: there is no folder {target.parent}. Make it, or write elsewhere.")
    data = _opened(data)
    parts = {"all rows": data} if splits is None else {name: _opened(part) for name, part in splits.items()}
    frames = {name: frame if fitted is None else fitted.transform(frame) for name, frame in parts.items()}
    whole_frame = data if fitted is None else fitted.transform(data)
    with with_workers(executor, worth=source_of(whole_frame).opens_elsewhere) as pool:
        whole = explore(whole_frame, executor=pool, progress=progress)
        explored = {"all rows": whole}
        if splits is not None:
            explored = {name: explore(frame, executor=pool, progress=progress) for name, frame in frames.items()}
    roles, notes = _roles(whole, fitted)
    inputs = [name for name, role in roles.items() if role == "input"]
    targets = [name for name, role in roles.items() if role == "target"]
    plain = [name for name, role in roles.items() if role == "column"]
    keys = [*([groups] if isinstance(groups, str) else groups), *_window_groups(fitted)]
    for name in keys:
        if name not in whole:
            raise ColumnNotFoundError(f"groups {name!r}: not in the data.{did_you_mean(name, plain)}")
    by_time = getattr(splits, "by", None) == "time"
    times = [name for name in whole if whole[name].kind == "datetime"]
    drifts = _drifts(explored, [name for name in whole if all(name in one for one in explored.values())])
    reference = next(iter(frames))
    told = alone(source_of(frames[reference]), explored[reference], inputs, targets, progress=progress)
    both = shared(explored, plain, keys) if len(explored) > 1 else []
    overlaps = [(name, *one) for name in times for one in overlapping_times(explored, name)] if by_time else []
    meant = dict.fromkeys([*times, *keys], "the parts differ in it by design")
    found = [*findings(whole, drifts, told, both, overlaps, inputs, targets, keys, meant), *noticed(data)]
    columns = [
        column_facts(
            name,
            whole,
            explored,
            role=roles[name],
            note=notes.get(name, ""),
            drifts=[one for one in drifts if one.column == name],
            alone=[one for one in told if one.feature == name],
            shared=[one for one in both if one.column == name],
            look=any(one.column == name for one in found),
        )
        for name in roles
    ]
    contents = Contents(
        title or _title(data),
        whole.rows,
        {name: one.rows for name, one in explored.items()},
        columns,
        found,
        _checked(len(explored) > 1, bool(told), keys, by_time),
        whole.unreadable,
        None if fitted is None else as_part(fitted.summary()._repr_html_()),
        None if fitted is None else as_part(_sample(fitted, parts[reference])._repr_html_()),
        None if profile is None else as_part(profile._repr_html_()),
    )
    _check_replaceable(target)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    part.write_text(page(contents), encoding="utf-8")
    os.replace(part, target)
    return Report(target, found)


def _check_replaceable(target: Path) -> None:
    """Refuses to put a report in the place of anything but another one."""
    if not target.exists():
        return
    with open(target, "rb") if target.is_file() else nullcontext() as file:
        head = file.read(1 << 16) if file is not None else b"a folder or device"
    if head and MARK.encode() not in head and b'class="vaxseq' not in head:
        raise OptionError(
            f"{target}: not replaced: it isn't a report of vaxseq's. Choose another path, or move it away yourself."
        )


def _sample(fitted: FittedFeatures, frame: Any) -> Display:
    """Rows from all over the part: the first ones may be of one day or one device."""
    from vaxseq.features.tables.preview import preview

    return preview(fitted, frame, rows=_PREVIEW_ROWS, where=None, places=_PREVIEW_PLACES)


def _opened(data: Any) -> Any:
    """A table as a frame; a path stays one, by which the manifest is found."""
    return data if isinstance(data, str | os.PathLike) else frame_of(data)


def _fitted(features: Any) -> FittedFeatures | None:
    if features is None:
        return None
    from vaxseq.features import FittedFeatures

    if isinstance(features, FittedFeatures):
        return features
    if isinstance(features, (str, os.PathLike)):
        return FittedFeatures.load(features)
    remedy = "Fit them first: FeatureSet.load(path).fit(frame)."
    raise OptionError(f"features: got {type(features).__name__}, expected fitted features or a state file. {remedy}")


def _roles(whole: Exploration, fitted: FittedFeatures | None) -> tuple[dict[str, str], dict[str, str]]:
    """What each column is, features and targets first; and what the definition says of it."""
    from vaxseq.features.tables.summary import reads

    roles: dict[str, str] = {}
    notes: dict[str, str] = {}
    if fitted is not None:
        for group in fitted.groups:
            for place in group.places:
                if place.column in whole:
                    roles[place.column] = group.role
                    notes[place.column] = f"Reads {reads(place)}."
        for name in fitted.feature_set.columns:
            if name in whole:
                roles[name] = "derived"
    return {**roles, **{name: "column" for name in whole if name not in roles}}, notes


def _window_groups(fitted: FittedFeatures | None) -> list[str]:
    groups = (fitted.window or {}).get("group_by") if fitted is not None else None
    return [groups] if isinstance(groups, str) else list(groups or ())


def _drifts(explored: Mapping[str, Exploration], names: Sequence[str]) -> list[Drift]:
    reference, *others = explored
    return [
        drift(explored[reference][name], explored[part][name], part, reference) for part in others for name in names
    ]


def _checked(parts: bool, told: bool, keys: Sequence[str], by_time: bool) -> list[str]:
    checked = ["constant, infinite and mostly missing features"]
    if parts:
        checked.append("drift between the parts (PSI over 0.1)")
        checked.append(
            f"values of {', '.join(keys)} in two parts" if keys else "values that slipped into a second part"
        )
    if by_time:
        checked.append("times in two parts")
    if told:
        checked.append("features that tell a target alone (AUC 0.97, R² 0.99)")
    return checked


def _title(data: Any) -> str:
    if isinstance(data, (str, os.PathLike)):
        return Path(data).name
    name = getattr(getattr(data, "dataset", None), "path", None)
    return Path(str(name)).name if name else "Data"
