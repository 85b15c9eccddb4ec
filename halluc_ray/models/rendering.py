"""From samples to the text and the tokens that a local model is fed.

Knows the tokenizer and its chat template; does not cut and does not batch. Callers: the prompted
models, the preview. Imports transformers' tokenizers only through what it is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from halluc_ray.config import CausalSystem, ChoicesSystem, Seq2SeqSystem
from halluc_ray.errors import SpecError
from halluc_ray.models.chats import Chat
from halluc_ray.models.prompting import Prompter
from halluc_ray.models.prompts import UnusableRow
from halluc_ray.records import Sample, Turn


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """One prompt: its text and tokens, and whether shots were left out for want of room."""

    text: str
    tokens: tuple[int, ...]
    shortened: bool


class Renderer:
    """Renders the prompts of one system for one tokenizer."""

    def __init__(self, system: CausalSystem | Seq2SeqSystem | ChoicesSystem, tokenizer: Any) -> None:
        """Check that the tokenizer takes what the system says before any row.

        Raises:
            SpecError: `chat: true` and no chat template, or one that refuses the turns; or a prompt
                that begins with two beginning-of-sequence tokens.
        """
        self._system = system
        self._tokenizer = tokenizer
        self._where = f"systems[{system.name}]"
        self._prompter = Prompter(system)
        self._chat = Chat(tokenizer, where=f"{self._where}.chat") if system.chat else None
        self._fixed = len(self._check_fixed())

    def fitted(self, samples: Sequence[Sample], *, limit: int) -> list[RenderedPrompt]:
        """One prompt per sample, with as many of its last shots as the limit has room for.

        What is above the limit without any shot is left to the caller to cut.

        Raises:
            UnusableRow: see `texts` and `tokens`.
        """
        texts = self.texts(samples)
        coded = zip(samples, texts, self.tokens(texts), strict=True)
        return [self._fitted(sample, text, ids, limit) for sample, text, ids in coded]

    def texts(self, samples: Sequence[Sample], *, without: int = 0) -> list[str]:
        """One prompt per sample, special tokens of the chat template included.

        Args:
            samples: the rows.
            without: shots that are left out, the first ones.

        Raises:
            UnusableRow: a sample lacks what the template reads, or the chat template refuses its turns.
        """
        if self._chat is None:
            return [self._prompter.text(sample, without=without) for sample in samples]
        return [self._chat.text(_written(self._prompter.turns(sample, without=without))) for sample in samples]

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each prompt, uncut; a chat template writes the special tokens itself.

        Raises:
            UnusableRow: a prompt begins with two beginning-of-sequence tokens.
        """
        coded = self._coded(texts)
        for ids in coded:
            refuse_doubled_bos(ids, self._tokenizer)
        return coded

    def check_room(self, limit: int) -> None:
        """Refuse a limit that the system turn and the shots fill before the row has said a word.

        Args:
            limit: tokens that a prompt may have.

        Raises:
            SpecError: there is no room for the row.
        """
        if self._fixed >= limit:
            raise SpecError(
                f"{self._where}: system, shots and template alone take {self._fixed} tokens of the "
                f"{limit} that a prompt may have, and leave no room for the row; show fewer shots, or raise "
                "max_input_tokens where the model has the positions"
            )

    def _fitted(self, sample: Sample, text: str, ids: list[int], limit: int) -> RenderedPrompt:
        without = 0
        while len(ids) > limit and without < self._prompter.num_shots:
            without += 1
            [text] = self.texts([sample], without=without)
            [ids] = self.tokens([text])
        return RenderedPrompt(text, tuple(ids), shortened=without > 0)

    def _coded(self, texts: Sequence[str]) -> list[list[int]]:
        coded = self._tokenizer(list(texts), add_special_tokens=not self._system.chat, verbose=False)
        return [list(ids) for ids in coded["input_ids"]]

    def _check_fixed(self) -> list[int]:
        """Tokens of a prompt whose row says next to nothing."""
        row = self._prompter.nothing_said()
        text = self._prompter.text(row) if self._chat is None else self._checked_chat(self._chat, row)
        [ids] = self._coded([text])
        try:
            refuse_doubled_bos(ids, self._tokenizer)
        except UnusableRow as error:
            writer = "the tokenizer" if self._chat is None else "the chat template"
            raise SpecError(
                f"{self._where}: prompts would begin with {self._tokenizer.bos_token} twice, for {writer} writes one; "
                "take it out of template or system"
            ) from error
        return ids

    def _checked_chat(self, chat: Chat, row: Sample) -> str:
        try:
            text = chat.text(_written(self._prompter.turns(row)))
        except (UnusableRow, ValueError) as error:
            said = error.detail if isinstance(error, UnusableRow) else f"the chat template fails ({error})"
            raise SpecError(f"{self._where}.chat: true, and {said}; set chat: false, or drop system") from error
        if self._system.system is not None and self._system.system.strip() not in text:
            raise SpecError(
                f"{self._where}.system: the tokenizer's chat template leaves the system turn out; put those words "
                "into template"
            )
        return text


def refuse_doubled_bos(tokens: Sequence[int], tokenizer: Any) -> None:
    """Refuse a prompt that begins with two beginning-of-sequence tokens: models were not trained on such.

    Raises:
        UnusableRow: `doubled_bos`.
    """
    bos = tokenizer.bos_token_id
    if bos is not None and list(tokens[:2]) == [bos, bos]:
        raise UnusableRow("doubled_bos", f"the prompt begins with {tokenizer.bos_token} twice")


def _written(turns: Sequence[Turn]) -> list[dict[str, str]]:
    return [{"role": turn.role, "content": turn.content} for turn in turns]
