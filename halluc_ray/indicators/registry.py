"""Which kinds of indicator there are: the built-in dict and the entry points of other packages.

Knows classes and their options; does not make scores. A plugin is declared under the entry-point
group `halluc_ray.indicators` as `kind = "package.module:Class"`; it is imported when its kind is
asked for, so that a broken one stands in nobody's way. Called by wiring and `halluc-ray schema`.
"""

from __future__ import annotations

import difflib
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from halluc_ray.errors import SpecError
from halluc_ray.indicators.answer_mismatch import AnswerMismatch
from halluc_ray.indicators.choice_mass import ChoiceMass
from halluc_ray.indicators.choice_mismatch import ChoiceMismatch
from halluc_ray.indicators.label_mismatch import LabelMismatch
from halluc_ray.indicators.low_similarity import LowSimilarity
from halluc_ray.indicators.protocol import Indicator
from halluc_ray.indicators.recorded_label import RecordedLabel
from halluc_ray.indicators.recorded_score import RecordedScore
from halluc_ray.indicators.unsupported_number import UnsupportedNumber

GROUP = "halluc_ray.indicators"

BUILTIN: dict[str, type[Indicator]] = {
    cls.kind: cls
    for cls in (
        AnswerMismatch,
        ChoiceMass,
        ChoiceMismatch,
        LabelMismatch,
        LowSimilarity,
        RecordedLabel,
        RecordedScore,
        UnsupportedNumber,
    )
}

_PROMISED = ("kind", "semantics_version", "Options", "recorded_only", "columns", "score", "decide")
_IMPORT_FAILURES = (
    ImportError, AttributeError, SyntaxError, NameError, TypeError, ValueError, LookupError, OSError, RuntimeError
)  # fmt: skip


def kinds() -> tuple[str, ...]:
    """Every kind that a spec may name, broken plugins included, sorted."""
    return tuple(sorted({*BUILTIN, *_plugins()}))


def get(kind: str) -> type[Indicator]:
    """The class of a kind. A built-in kind can't be replaced by a plugin.

    Raises:
        SpecError: there is no such kind, or its plugin can't be imported.
    """
    if kind in BUILTIN:
        return BUILTIN[kind]
    plugins = _plugins()
    if kind in plugins:
        return _load(plugins[kind])
    near = difflib.get_close_matches(kind, kinds(), n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise SpecError(f"indicator kind {kind!r} is unknown; {hint}Known kinds: {', '.join(kinds())}")


def json_schema() -> dict[str, dict[str, Any]]:
    """JSON schema of the options, by kind. A plugin that can't be imported shows why instead."""
    return {kind: _options_schema(kind) for kind in kinds()}


def _options_schema(kind: str) -> dict[str, Any]:
    try:
        return get(kind).Options.model_json_schema()
    except SpecError as error:
        return {"not": {}, "description": str(error)}


def _plugins() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def _load(point: EntryPoint) -> type[Indicator]:
    source = f"{point.dist.name} {point.dist.version}" if point.dist else "an unnamed package"
    try:
        loaded = point.load()
    except _IMPORT_FAILURES as error:
        raise SpecError(
            f"indicator kind {point.name!r} of {source} can't be imported from {point.value}: "
            f"{type(error).__name__}: {error}; mend or uninstall that package"
        ) from error
    missing = [name for name in _PROMISED if not hasattr(loaded, name)]
    if not isinstance(loaded, type) or missing:
        raise SpecError(
            f"indicator kind {point.name!r} of {source}: {point.value} is no indicator class"
            f" (it lacks {', '.join(missing) or 'a class'}); see halluc_ray.indicators.protocol.Indicator"
        )
    return loaded
