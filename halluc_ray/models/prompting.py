"""From a sample to what a prompted model is told: turns of a chat, or one text.

Shots come first, then the row; the system turn before all. Knows no tokens and no chat template.
Callers: `rendering`, `endpoint`.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

from halluc_ray.config import PromptedSystem, Shot
from halluc_ray.models import prompts
from halluc_ray.records import Sample, Turn

_BETWEEN_SHOTS = "\n\n"


class Prompter:
    """Writes the prompts of one system."""

    def __init__(self, system: PromptedSystem) -> None:
        """Parse the template of a settled system: its template is a text, its shots a list.

        Raises:
            SpecError: the template is malformed.
        """
        self._system_turn = () if system.system is None else (Turn("system", system.system),)
        where = f"systems.{system.name}.template"
        self._template = prompts.parse(system.template or prompts.PROMPT, where=where)
        self._reads_messages = system.template == prompts.MESSAGES
        self._shots: tuple[Shot, ...] = system.shots if isinstance(system.shots, tuple) else ()

    def turns(self, sample: Sample) -> tuple[Turn, ...]:
        """The chat up to the turn that the model is to write.

        Raises:
            UnusableRow: the sample lacks what the template reads.
        """
        own = sample.turns if self._reads_messages else (Turn("user", self._filled(_fields(sample))),)
        if own and own[0].role == "system":
            return (*own[:1], *self._shot_turns(), *own[1:])
        return (*self._system_turn, *self._shot_turns(), *own)

    def text(self, sample: Sample) -> str:
        """The same as one text, for a model without turns: shots, an empty line apart, then the row.

        Raises:
            UnusableRow: the sample lacks what the template reads.
        """
        shots = [self._filled(shot.fields) + shot.answer for shot in self._shots]
        return _BETWEEN_SHOTS.join([*shots, self._filled(_fields(sample))])

    def _shot_turns(self) -> tuple[Turn, ...]:
        pairs = ((Turn("user", self._filled(s.fields)), Turn("assistant", s.answer)) for s in self._shots)
        return tuple(chain.from_iterable(pairs))

    def _filled(self, fields: Mapping[str, str]) -> str:
        return prompts.fill(self._template, fields)


def _fields(sample: Sample) -> dict[str, str]:
    return {**sample.fields, "id": sample.id}
