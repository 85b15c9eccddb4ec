"""What a system's prompts need, settled and checked before anything starts.

Writes the template out, reads the shots, and refuses what would damage every row in silence. Knows
the spec and a checkpoint's files; loads no tokenizer. Called by `systems`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from halluc_ray.config import (
    CausalSystem,
    CheckpointSystem,
    Columns,
    EndpointSystem,
    ImageTextSystem,
    PromptedSystem,
    Store,
    System,
)
from halluc_ray.config.systems import LocalPromptSection, PromptSection
from halluc_ray.errors import SpecError
from halluc_ray.models import prompts
from halluc_ray.models.chat_templates import has_chat_template
from halluc_ray.models.checkpoint_sources import Source
from halluc_ray.models.limits import prompt_limit
from halluc_ray.models.prompting import Prompter
from halluc_ray.wiring.inputs import settled_template, templates
from halluc_ray.wiring.shots import settle_shots

_POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len")


def settle_prompt(system: System, columns: Columns, *, store: Store, where: str) -> System:
    """A system with its template written out and its shots read.

    Args:
        system: one of the spec's systems.
        columns: the corpus' mapping of roles.
        store: how the shots' store is reached.
        where: key path of the system, for messages.

    Raises:
        SpecError: the template is malformed or names what is no text; turns are asked of a system that
            takes none; shots can't be read, or do not fill the template.
    """
    for key, template in templates(system, columns):
        _refuse_no_text(system, template, columns, f"{where}.{key}")
    if not isinstance(system, PromptSection):
        return system
    template = settled_template(system.template, columns)
    if template == prompts.MESSAGES and columns.messages is None:
        raise SpecError(f"{where}.template: {template} is a conversation; set corpus.columns.messages to its column")
    if template == prompts.MESSAGES and not takes_turns(system):
        fix = "api: chat" if isinstance(system, EndpointSystem) else "chat: true"
        raise SpecError(f"{where}.template: {template} is a conversation, and the system takes one text; set {fix}")
    shown = prompts.PROMPT if template == prompts.MESSAGES else template
    shots = settle_shots(system.shots, names=prompts.parse(shown).names, store=store, where=where)
    settled: PromptedSystem = system.model_copy(update={"template": template, "shots": shots})
    Prompter(settled)
    return settled


def takes_turns(system: PromptSection) -> bool:
    """Whether a system is told turns of a chat, not one text."""
    return system.chat if isinstance(system, LocalPromptSection) else getattr(system, "api", "") == "chat"


def check_prompt(system: CheckpointSystem, source: Source, config: Mapping[str, Any], *, where: str) -> None:
    """Hold a system that is prompted in words against its checkpoint's files.

    Args:
        system: settled.
        source: of its checkpoint.
        config: the checkpoint's config.json.
        where: key path of the system, for messages.

    Raises:
        SpecError: `chat: true` and no chat template; or an answer that takes all positions.
    """
    if not isinstance(system, LocalPromptSection):
        return
    if system.chat and not has_chat_template(source):
        raise SpecError(
            f"{where}.chat: true, and {source.uri} has no chat template (chat_template.jinja, or that key in "
            "tokenizer_config.json); set chat: false, or name a checkpoint that was tuned to chat"
        )
    if not isinstance(system, CausalSystem | ImageTextSystem):
        return
    text_config = config.get("text_config") or config
    positions = next((text_config[key] for key in _POSITIONS if isinstance(text_config.get(key), int)), None)
    if positions:
        prompt_limit(system, positions=positions)


def _refuse_no_text(system: System, template: str, columns: Columns, where: str) -> None:
    names = prompts.parse(template, where=where).names & columns.mapped().keys()
    if "messages" in names and not (template == prompts.MESSAGES and isinstance(system, PromptSection)):
        raise SpecError(
            f"{where}: {template!r} holds {{messages}}, which is a conversation and no text; let it stand alone in "
            "the template of a chat, or name a column of text"
        )
    if "image" in names and not isinstance(system, ImageTextSystem):
        raise SpecError(f"{where}: {template!r} holds {{image}}, which is no text; a {system.kind} reads words alone")
    if "options" in names:
        raise SpecError(f"{where}: {template!r} holds {{options}}, a list to choose from; name a column of text")
