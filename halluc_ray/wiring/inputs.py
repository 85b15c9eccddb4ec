"""What each system reads of a corpus row: the roles and columns behind its placeholders.

A placeholder that is the name of a mapped role means that role; any other means the corpus column
of that name. Knows the spec; whether the columns exist is the plan's question. Called by the plan
and by `systems`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from halluc_ray.config import (
    CausalSystem,
    ChoicesSystem,
    ClassifierSystem,
    Columns,
    DualEncoderSystem,
    EmbedderSystem,
    EndpointSystem,
    ImageTextSystem,
    RecordedSystem,
    Seq2SeqSystem,
    System,
)
from halluc_ray.models import prompts

RESPONSE, SIMILARITY, OPTION_SCORES = "response", "similarity", "option_scores"
GENERATED = frozenset({RESPONSE, SIMILARITY, OPTION_SCORES})
"""What indicators may read of outputs, whichever system makes it."""

WRITES_NOTHING = frozenset({"recorded", "dual-encoder", "embedder"})
"""Kinds of system without an answer of their own: the one that they are about stands in the corpus."""


@dataclass(frozen=True, slots=True)
class SystemInputs:
    """What a system reads.

    Attributes:
        roles: mapped roles.
        columns: corpus columns, key of the spec by name.
    """

    roles: frozenset[str]
    columns: dict[str, str]


def inputs_of(system: System, columns: Columns, *, where: str) -> SystemInputs:
    """Roles and columns that a system reads.

    Args:
        system: one of the spec's systems.
        columns: the corpus' mapping of roles.
        where: key path of the system, for messages.

    Raises:
        SpecError: a template is malformed.
    """
    mapped = columns.mapped()
    roles = set(_read_beside(system, frozenset(mapped)))
    own: dict[str, str] = {}
    for key, template in templates(system, columns):
        for name in sorted(prompts.parse(template, where=f"{where}.{key}").names):
            if name in mapped:
                roles.add(name)
            else:
                own.setdefault(name, f"{where}.{key}")
    return SystemInputs(frozenset(roles), own)


def templates(system: System, columns: Columns) -> Iterator[tuple[str, str]]:
    """Key and text of each template of a system that is filled per row."""
    match system:
        case ClassifierSystem():
            yield "template", system.template
            if system.pair_template is not None:
                yield "pair_template", system.pair_template
        case EmbedderSystem():
            yield "template", system.template
            yield "pair_template", system.pair_template
        case DualEncoderSystem():
            yield "template", system.template
        case CausalSystem() | Seq2SeqSystem() | ImageTextSystem() | ChoicesSystem() | EndpointSystem():
            yield "template", settled_template(system.template, columns)
        case RecordedSystem():
            return
        case _:
            assert_never(system)


def settled_template(template: str | None, columns: Columns) -> str:
    """The template of a prompted system: as written, else the row's messages or its prompt."""
    if template is not None:
        return template
    return prompts.MESSAGES if columns.messages and not columns.prompt else prompts.PROMPT


def gives(system: System) -> frozenset[str]:
    """What indicators may read of a system's outputs."""
    match system:
        case EmbedderSystem() | DualEncoderSystem():
            return frozenset({SIMILARITY})
        case ChoicesSystem():
            return frozenset({RESPONSE, OPTION_SCORES})
        case RecordedSystem():
            return frozenset()
        case _:
            return frozenset({RESPONSE})


def _read_beside(system: System, mapped: frozenset[str]) -> Iterator[str]:
    """Roles that a system reads without naming them in a template."""
    match system:
        case ImageTextSystem() | DualEncoderSystem():
            yield "image"
        case ChoicesSystem():
            yield "reference"
            if "options" in mapped:
                yield "options"
        case RecordedSystem():
            for role in ("prompt", "response"):
                if role in mapped:
                    yield role
        case _:
            return
