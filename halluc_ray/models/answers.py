"""From generated tokens to an answer: where it ends, what it says, what of it is reasoning.

Knows a tokenizer and the decoding; knows no network. Callers: `generation`, `vllm_backend`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

from halluc_ray.config.prompting import Decoding, Reasoning
from halluc_ray.models.protocol import Output
from halluc_ray.models.reasoning import answer_start, opens_trace, take_answer

_TAG_TOKENS = 32
"""Last tokens of a prompt that an opening tag is looked for in."""


class AnswerReader:
    """Reads the answers of one system."""

    def __init__(
        self, decoding: Decoding, *, tokenizer: Any, ends: Collection[int], reasoning: Reasoning | None = None
    ) -> None:
        """Special tokens say nothing, but for the tags around a trace; `ends` are the end-of-sequence ids."""
        self._stops = decoding.stop
        self._tokenizer = tokenizer
        self._ends = frozenset(ends)
        self._reasoning = reasoning
        special = set(tokenizer.all_special_ids)
        tags = {f"<{mark}{tag}>" for tag in reasoning.tags for mark in ("", "/")} if reasoning else set()
        known = set(tokenizer.convert_tokens_to_ids(sorted(tags))) - {tokenizer.unk_token_id} if tags else set()
        self._left_out = special - known if special & known else None

    def opened_by(self, prompt: Sequence[int]) -> bool:
        """Whether a prompt ends inside a trace."""
        if self._reasoning is None:
            return False
        return opens_trace(self._decode(prompt[-_TAG_TOKENS:], skip_special_tokens=False), self._reasoning)

    def has_ended(self, tokens: Sequence[int], *, opened: bool) -> bool:
        """Whether nothing after these tokens belongs to the answer."""
        return tokens[-1] in self._ends or self._stop_in(tokens, opened) is not None

    def output(self, tokens: Sequence[int], *, opened: bool) -> Output:
        """The answer up to the first end token or stop string, whichever comes first.

        Args:
            tokens: generated, the prompt left out.
            opened: the prompt ends inside a trace.
        """
        output, tokens = self._cut(tokens, opened)
        if self._reasoning is None:
            return output

        @cache
        def length(count: int) -> int:
            return len(self._text(tokens[:count]))

        def tokens_until(characters: int) -> int:
            return bisect_left(range(len(tokens)), characters, key=length)

        return take_answer(output, self._reasoning, opened=opened, tokens_until=tokens_until)

    def _cut(self, tokens: Sequence[int], opened: bool) -> tuple[Output, Sequence[int]]:
        """All that was generated up to its end, and the tokens of it."""
        end = next((at for at, token in enumerate(tokens) if token in self._ends), None)
        tokens = tokens[:end]
        if self._stop_in(tokens, opened) is not None:
            for count in range(1, len(tokens) + 1):
                end_of_text = self._stop_in(tokens[:count], opened)
                if end_of_text is not None:
                    text = self._text(tokens[:count])[:end_of_text]
                    return Output(text, finish="stop", num_output_tokens=count), tokens[:count]
        finish = "length" if end is None else "stop"
        return Output(self._text(tokens), finish=finish, num_output_tokens=len(tokens)), tokens

    def _stop_in(self, tokens: Sequence[int], opened: bool) -> int | None:
        """Where the first stop string of the answer begins in the text; None where there is none yet."""
        if not self._stops:
            return None
        text = self._text(tokens)
        start = 0 if self._reasoning is None else answer_start(text, self._reasoning, opened=opened)
        found = [] if start is None else [at for stop in self._stops if (at := text.find(stop, start)) >= 0]
        return min(found, default=None)

    def _text(self, tokens: Sequence[int]) -> str:
        if self._left_out is None:
            return self._decode(tokens, skip_special_tokens=True)
        kept = [token for token in tokens if token not in self._left_out]
        return self._decode(kept, skip_special_tokens=False)

    def _decode(self, tokens: Sequence[int], *, skip_special_tokens: bool) -> str:
        return str(
            self._tokenizer.decode(
                list(tokens), skip_special_tokens=skip_special_tokens, clean_up_tokenization_spaces=False
            )
        )


def end_tokens(*declared: int | Sequence[int] | None) -> frozenset[int]:
    """End-of-sequence ids, from wherever checkpoint and tokenizer declare them.

    >>> sorted(end_tokens(2, None, [2, 7]))
    [2, 7]
    """
    ends: set[int] = set()
    for ids in declared:
        ends.update([ids] if isinstance(ids, int) else ids or [])
    return frozenset(ends)
