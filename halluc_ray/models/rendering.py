"""From samples to the text and the tokens that a local model is fed.

Knows the tokenizer and its chat template; does not cut and does not batch. Callers: the prompted
models, the preview. Imports transformers' tokenizers only through what it is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jinja2

from halluc_ray.config import CausalSystem, ChoicesSystem, Seq2SeqSystem
from halluc_ray.errors import SpecError
from halluc_ray.models.prompting import Prompter
from halluc_ray.records import Sample, Turn


class Renderer:
    """Renders the prompts of one system for one tokenizer."""

    def __init__(self, system: CausalSystem | Seq2SeqSystem | ChoicesSystem, tokenizer: Any) -> None:
        """Check that the tokenizer takes the system's turns.

        Raises:
            SpecError: `chat: true` and no chat template, or one that refuses the turns.
        """
        self._system = system
        self._tokenizer = tokenizer
        self._prompter = Prompter(system)
        if system.chat:
            self._check_chat()

    def texts(self, samples: Sequence[Sample]) -> list[str]:
        """One prompt per sample, special tokens of the chat template included.

        Raises:
            UnusableRow: a sample lacks what the template reads.
        """
        if self._system.chat:
            return [self._as_chat(self._prompter.turns(sample)) for sample in samples]
        return [self._prompter.text(sample) for sample in samples]

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each prompt, uncut; a chat template writes the special tokens itself."""
        coded = self._tokenizer(list(texts), add_special_tokens=not self._system.chat, verbose=False)
        return [list(ids) for ids in coded["input_ids"]]

    def _as_chat(self, turns: Sequence[Turn]) -> str:
        written = [{"role": turn.role, "content": turn.content} for turn in turns]
        return str(self._tokenizer.apply_chat_template(written, tokenize=False, add_generation_prompt=True))

    def _check_chat(self) -> None:
        turns = [Turn("user", "?")] if self._system.system is None else [Turn("system", "!"), Turn("user", "?")]
        try:
            self._as_chat(turns)
        except (jinja2.TemplateError, ValueError) as error:
            raise SpecError(
                f"systems.{self._system.name}.chat: true, and the tokenizer's chat template does not take the turns "
                f"({error}); set chat: false, or drop system"
            ) from error
