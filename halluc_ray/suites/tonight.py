"""The specs of one night: what the suite's files say, with tonight's checkpoints and dates put in.

Called by `nightly`. Reads files and lists registries; computes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from halluc_ray.config import RunSpec, System
from halluc_ray.errors import SpecError
from halluc_ray.evaluation.reading import read_spec
from halluc_ray.storage import ObjectStore, open_store
from halluc_ray.suites.checkpoints import find_checkpoint, is_pattern
from halluc_ray.suites.suite import Suite, SuiteEntry

_PATTERN_KEYS = ("checkpoint", "adapter")


@dataclass(frozen=True, slots=True)
class Tonight:
    """One entry of a suite on one date.

    Attributes:
        spec: the run.
        checkpoints: system -> the folder that its pattern led to.
    """

    spec: RunSpec
    checkpoints: Mapping[str, str]


def suite_store(suite: Suite) -> ObjectStore:
    """Where a suite's runs and history lie."""
    return open_store(suite.output, endpoint=suite.store.endpoint, region=suite.store.region)


def spec_of_tonight(suite: Suite, entry: SuiteEntry, *, date: str) -> Tonight:
    """The spec that an entry stands for on a date.

    Raises:
        SpecError: the entry's file, or what the suite adds to it, is no valid spec.
        InputError: no checkpoint matches a pattern.
    """
    store = suite_store(suite)
    overrides = [text.replace("{date}", date).replace("{output}", store.uri) for text in entry.set]
    spec = read_spec(entry.spec, overrides=overrides)
    systems, checkpoints = [], {}
    for system in suite.systems or spec.systems:
        settled, found = _settled(system, suite, date=date)
        systems.append(settled)
        if found:
            checkpoints[system.name or system.kind] = found
    named = {(s,) if isinstance(s, str) else tuple(s) for s in spec.slices}
    more = [s for s in suite.slices if ((s,) if isinstance(s, str) else tuple(s)) not in named]
    content = spec.model_dump(mode="json", exclude_unset=True) | {
        "systems": [system.model_dump(mode="json", exclude_unset=True) for system in systems],
        "slices": [*spec.slices, *more],
        "output": store.uri,  # absolute: actors of a cluster have another current directory
        "store": suite.store.model_dump(mode="json"),
    }
    try:
        return Tonight(RunSpec.model_validate(content), checkpoints)
    except ValueError as error:
        raise SpecError(f"suite {suite.name}, spec {entry.name}: {error}") from None


def _settled(system: System, suite: Suite, *, date: str) -> tuple[System, str]:
    """The system with its patterns replaced by what they lead to, and the names of that."""
    found = {}
    for key in _PATTERN_KEYS:
        pattern = getattr(system, key, None)
        if pattern is not None and is_pattern(pattern):
            where = f"suite {suite.name}, system {system.name}, {key}"
            found[key] = find_checkpoint(pattern, date=date, store=suite.store, where=where)
    if not found:
        return system, ""
    return system.model_copy(update={key: f.uri for key, f in found.items()}), " + ".join(
        f.name for f in found.values()
    )
