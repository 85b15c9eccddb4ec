"""From a sample to what a prompted model is told: turns of a chat, or one text.

Shots come first, then the row; the system turn before all. Knows no tokens and no chat template.
Callers: wiring, which has the shots checked before a run; `rendering`, `endpoint`, the preview.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

from halluc_ray.config import PromptedSystem, Shot
from halluc_ray.errors import SpecError
from halluc_ray.models import prompts
from halluc_ray.models.prompts import UnusableRow
from halluc_ray.records import Sample, Turn

SPEAKERS = frozenset({"system", "user", "assistant", "tool"})
_LAST_SPEAKERS = frozenset({"user", "tool"})
_BETWEEN_SHOTS = "\n\n"


@dataclass(frozen=True, slots=True)
class WrittenShot:
    """A worked example in words: the filled template, and what should be said to it."""

    question: str
    answer: str

    def as_text(self) -> str:
        """Both in a line, with a space between where neither brings white space of its own."""
        apart = self.question[-1:].isspace() or self.answer[:1].isspace()
        return f"{self.question}{'' if apart else ' '}{self.answer}"


class Prompter:
    """Writes the prompts of one system."""

    def __init__(self, system: PromptedSystem) -> None:
        """Parse the template of a settled system: its template is a text, its shots are read.

        Raises:
            SpecError: the template is malformed, or a shot does not fill it.
        """
        where = f"systems[{system.name}]"
        self._system_turn = () if system.system is None else (Turn("system", system.system),)
        self._template = prompts.parse(system.template or prompts.PROMPT, where=f"{where}.template")
        self._reads_messages = system.template == prompts.MESSAGES
        shots = system.shots
        pool, self._num_shots = (shots, len(shots)) if isinstance(shots, tuple) else (shots.pool, shots.count)
        self._pool = [self._written(shot, f"{where}.shots[{k}]") for k, shot in enumerate(pool)]

    @property
    def num_shots(self) -> int:
        """Shots that a prompt shows at most."""
        return min(self._num_shots, len(self._pool))

    def nothing_said(self) -> Sample:
        """A row whose every text is a question mark: what is left of its prompt is the system's own."""
        return Sample(0, "?", dict.fromkeys(self._template.names, "?"), turns=(Turn("user", "?"),))

    def turns(self, sample: Sample, *, without: int = 0) -> tuple[Turn, ...]:
        """The chat up to the turn that the model is to write; a conversation's own system turn is the only one.

        Args:
            sample: the row.
            without: shots that are left out, the first ones.

        Raises:
            UnusableRow: the sample lacks what the template reads, or its conversation does not end
                with a question.
        """
        if self._reads_messages:
            own = _checked(sample.turns)
        else:
            own = (Turn("user", prompts.fill_row(self._template, sample)),)
        shots = self._shots_before(own[-1].content)[without:]
        shown = chain.from_iterable((Turn("user", s.question), Turn("assistant", s.answer)) for s in shots)
        if own[0].role == "system":
            return (own[0], *shown, *own[1:])
        return (*self._system_turn, *shown, *own)

    def text(self, sample: Sample, *, without: int = 0) -> str:
        """The same as one text, for a model without turns: shots, an empty line apart, then the row.

        Args:
            sample: the row.
            without: shots that are left out, the first ones.

        Raises:
            UnusableRow: the sample lacks what the template reads.
        """
        own = prompts.fill_row(self._template, sample)
        return _BETWEEN_SHOTS.join([*(shot.as_text() for shot in self._shots_before(own)[without:]), own])

    def _shots_before(self, question: str) -> list[WrittenShot]:
        """The first of the pool, without one that asks what the row asks: it would give the answer away."""
        asked = question.strip()
        return [shot for shot in self._pool if shot.question.strip() != asked][: self._num_shots]

    def _written(self, shot: Shot, where: str) -> WrittenShot:
        template = prompts.parse(prompts.PROMPT) if self._reads_messages else self._template
        missing = sorted(template.names - shot.fields.keys())
        if missing:
            raise SpecError(
                f"{where}.fields has {', '.join(sorted(shot.fields))} and lacks {', '.join(missing)}, which the "
                "template reads; add it"
            )
        return WrittenShot(prompts.fill(template, shot.fields), shot.answer)


def _checked(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    unknown = sorted({turn.role for turn in turns} - SPEAKERS)
    if unknown:
        known = ", ".join(sorted(SPEAKERS))
        raise UnusableRow("unknown_role", f"{unknown[0]!r} speaks in the conversation; a turn's role is one of {known}")
    if not turns or turns[-1].role not in _LAST_SPEAKERS:
        last = turns[-1].role if turns else "nobody"
        raise UnusableRow(f"{last}_speaks_last", "the conversation must end with a turn of the user or of a tool")
    return turns
