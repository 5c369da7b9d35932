"""Steps from users' packages: found by the entry points ``vaxseq.steps`` of the packages that a definition names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, EntryPoint, PackageNotFoundError, distribution
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from vaxseq.features.definition.document import Path, Problem
from vaxseq.features.transforms import STEPS, Step

GROUP = "vaxseq.steps"

_OF: dict[str, str] = {}  # step name -> the package that gave it


def load_packages(raw: Any) -> list[Problem]:
    """Imports the steps of the packages that a definition names, and nothing else; what is wrong with them.

    A version without a sign means one that is compatible with it: 1.2 allows 1.2 and later, below 2.
    """
    return [problem for name, version in raw.items() for problem in _load(name, version)] if _named(raw) else []


def package_of(step: Step) -> str | None:
    """The package that a step comes from; None for one of vaxseq's own."""
    if type(step).__module__.partition(".")[0] == "vaxseq":
        return None
    return _OF.get(step.name, "")


def package_problems(places: Iterator[tuple[Path, Any]], packages: Mapping[str, str]) -> Iterator[Problem]:
    """Steps of packages that the definition doesn't name."""
    known = {canonicalize_name(name) for name in packages}
    for path, block in places:
        for number, step in enumerate(getattr(block, "steps", ())):
            package = package_of(step)
            if package is None or package in known:
                continue
            where = f"comes from the package {package}" if package else "comes from no installed package"
            remedy = f"Add packages: {{{package}: ...}}" if package else "Give it an entry point and install it"
            yield Problem((*path, "steps", number), f"the step {step.name!r} {where}, which isn't named. {remedy}")


def _named(raw: Any) -> bool:
    return isinstance(raw, Mapping) and all(isinstance(one, str) for pair in raw.items() for one in pair)


def _load(name: str, version: str) -> Iterator[Problem]:
    path: Path = ("packages", name)
    try:
        found = distribution(name)
    except (PackageNotFoundError, ValueError):
        yield Problem(path, f"the package isn't installed. Run: pip install '{name}{_written(version)}'")
        return
    try:
        allowed = SpecifierSet(_written(version))
    except InvalidSpecifier:
        yield Problem(path, f"got {version!r}, expected a version, as 1.2, or a range, as '>=1.2,<2'")
        return
    if not allowed.contains(found.version, prereleases=True):
        yield Problem(path, f"version {found.version} is installed, expected {version}. Install that, or fit anew")
        return
    points = list(found.entry_points.select(group=GROUP))
    if not points:
        yield Problem(path, f"the package has no steps: no entry point in the group {GROUP!r}")
    for point in points:
        yield from _step(point, found, path)


def _written(version: str) -> str:
    """A version alone as a range that is compatible with it."""
    if not version[:1].isdigit():
        return version
    return f"~={version}" if "." in version else f"=={version}.*"


def _step(point: EntryPoint, package: Distribution, path: Path) -> Iterator[Problem]:
    """The step of an entry point, imported once. A step of ours, or of another package, is never replaced."""
    owner = canonicalize_name(package.metadata["Name"])
    if point.name in STEPS and _OF.get(point.name) == owner:
        return
    if point.name in STEPS:
        yield Problem(path, f"its step {point.name!r} has the name of a step that is there. Rename it in the package")
        return
    before = dict(STEPS)
    try:
        kind = point.load()
        wrong = _wrong(point, kind, before)
    except Exception as error:  # noqa: BLE001 - a user's package may fail in any way, which is told with its place
        wrong = f"its step {point.name!r} can't be imported; {type(error).__name__}: {error}"
    STEPS.clear()
    STEPS.update(before)
    if wrong:
        yield Problem(path, wrong)
        return
    STEPS[point.name] = kind
    _OF[point.name] = owner


def _wrong(point: EntryPoint, kind: Any, before: Mapping[str, type[Step]]) -> str | None:
    """Why what was imported isn't the step that was promised, or does more than it should."""
    if not (isinstance(kind, type) and issubclass(kind, Step)):
        return f"its entry point {point.name!r} is no step; expected a subclass of vaxseq.steps.Step"
    if kind.name != point.name:
        return f"its entry point {point.name!r} is named {kind.name!r}; expected the same name"
    replaced = [name for name, step in before.items() if STEPS.get(name) is not step]
    if replaced:
        return f"it defines a step {replaced[0]!r} over one that is there. Rename it in the package"
    return None
