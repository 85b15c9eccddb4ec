"""Mappings for what other harnesses save, by name; and which of them a record looks like.

Callers: the command line, the look at a source.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from halluc_ray.corpora.importing.lighteval import LightevalDetails, is_lighteval
from halluc_ray.corpora.importing.lm_eval import LmEvalSamples, is_lm_eval
from halluc_ray.corpora.importing.rows import Mapper
from halluc_ray.errors import SpecError

PRESETS: dict[str, tuple[Callable[[], Mapper], Callable[[Mapping[str, Any]], bool]]] = {
    "lm-eval": (LmEvalSamples, is_lm_eval),
    "lighteval": (LightevalDetails, is_lighteval),
}


def preset(name: str) -> Mapper:
    """The mapping of that name.

    Raises:
        SpecError: there is none.
    """
    if name not in PRESETS:
        raise SpecError(f"--preset {name!r} is not known; there are {', '.join(PRESETS)}")
    return PRESETS[name][0]()


def detected_preset(record: Mapping[str, Any]) -> str | None:
    """The preset whose shape a record has."""
    return next((name for name, (_, recognises) in PRESETS.items() if recognises(record)), None)
