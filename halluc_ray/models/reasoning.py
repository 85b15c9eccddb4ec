"""From what a model generated to its answer: traces are taken off, and counted.

Pure. Knows the tags that a system's `reasoning` names; knows no tokenizer and no network: who calls
says how many tokens a stretch of the text took. Callers: `answers`, `endpoint`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from halluc_ray.config import Reasoning
from halluc_ray.models.protocol import Output
from halluc_ray.text.traces import visible_spans

UNCLOSED = "unclosed_reasoning"


def opens_trace(prompt_end: str, reasoning: Reasoning) -> bool:
    """Whether a prompt ends with an opening tag, so that the output starts inside a trace.

    >>> opens_trace("<|assistant|><think> ", Reasoning())
    True
    """
    end = prompt_end.rstrip().lower()
    return any(end.endswith(f"<{tag.lower()}>") for tag in reasoning.tags)


def answer_start(text: str, reasoning: Reasoning, *, opened: bool = False) -> int | None:
    """Where the answer begins in what was generated so far; None while a trace is open.

    A stop string counts from here on.
    """
    spans, unclosed = visible_spans(text, tags=reasoning.tags, opened=opened)
    if unclosed is not None:
        return None
    return spans[-1][0] if spans else len(text)


def take_answer(
    output: Output,
    reasoning: Reasoning,
    *,
    opened: bool = False,
    tokens_until: Callable[[int], int] | None = None,
) -> Output:
    """An output with its answer as `text`, and all that was generated as `raw_text`.

    Args:
        output: as generated; `text` holds traces and answer.
        reasoning: of the system.
        opened: the prompt ends with an opening tag.
        tokens_until: tokens of the output that the first n characters of its text took; None where
            that can't be known.

    Returns:
        The same output where there is no trace, but for a count of zero. A trace that never ends
        is a failure, or, where the system says so, the answer.
    """
    if output.text is None:
        return output
    text = output.text
    spans, unclosed = visible_spans(text, tags=reasoning.tags, opened=opened)
    traces = list(_gaps(spans, len(text)))
    if unclosed is None and not traces:
        return replace(output, num_reasoning_tokens=0)
    thought = None
    if tokens_until is not None:
        thought = sum(tokens_until(stop) - tokens_until(start) for start, stop in traces)
    found = replace(output, raw_text=text, num_reasoning_tokens=thought)
    pieces = [text[start:stop] for start, stop in spans]
    if unclosed is None:
        return replace(found, text=_joined(pieces))
    if reasoning.on_unclosed == "answer":
        return replace(found, text=_joined([*pieces, text[unclosed:]]))
    return replace(found, text=None, failure=UNCLOSED)


def _gaps(spans: Sequence[tuple[int, int]], length: int) -> Iterator[tuple[int, int]]:
    """The ranges between the spans."""
    at = 0
    for start, stop in [*spans, (length, length)]:
        if at < start:
            yield at, start
        at = stop


def _joined(pieces: Sequence[str]) -> str:
    return " ".join(piece.strip() for piece in pieces if piece.strip())
