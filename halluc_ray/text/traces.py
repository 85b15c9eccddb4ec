"""Reasoning traces: what a model writes between tags before it answers.

Knows the tags that models use, or is told others; does not judge what the traces hold. Called by
every indicator that reads a response, so that thoughts are never taken for claims, and by the
models that take an answer apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

TAGS = ("think", "thinking", "thought", "reasoning")
"""Names of the tags that models write around their thoughts, unless told otherwise."""

Span = tuple[int, int]


def visible_spans(text: str, *, tags: Iterable[str] = TAGS, opened: bool = False) -> tuple[list[Span], int | None]:
    """Where the answer stands, and where a trace begins that is never closed.

    Args:
        text: an output.
        tags: names of tags, without brackets; case does not matter.
        opened: a trace was opened before the text, in the prompt.

    Returns:
        Character ranges outside all traces, tags not among them; and the start of what stands in an
        unclosed trace, after its tag, or None. A closing tag without an opening one ends a trace that
        the prompt opened, so all before it was thought.

    >>> visible_spans("<think>2+2</think>4")
    ([(18, 19)], None)
    """
    visible: list[Span] = []
    at, inside = 0, 0 if opened else None
    for tag in _pattern(tuple(tags)).finditer(text):
        if not tag[1]:
            if inside is None:
                visible.append((at, tag.start()))
                inside = tag.end()
            continue
        if inside is None:
            visible.clear()
        at, inside = tag.end(), None
    if inside is None:
        visible.append((at, len(text)))
    return [(start, stop) for start, stop in visible if start < stop], inside


def blank_traces(text: str) -> str:
    """The text with its traces replaced by as many spaces, so that offsets stay true.

    A trace that is never closed runs to the end; one that was opened in the prompt starts at the
    beginning.

    >>> blank_traces("<think>2+2</think>4")
    '                  4'
    """
    if "<" not in text:
        return text
    pieces, at = [], 0
    for start, stop in visible_spans(text)[0]:
        pieces += [" " * (start - at), text[start:stop]]
        at = stop
    return "".join([*pieces, " " * (len(text) - at)])


def strip_traces(text: str) -> str:
    """The answer alone: no traces, no white space around it.

    >>> strip_traces("<think>Paris? Yes.</think> Paris")
    'Paris'
    """
    return blank_traces(text).strip()


@lru_cache(maxsize=32)
def _pattern(tags: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"<(/?)(?:{'|'.join(map(re.escape, tags))})>", re.IGNORECASE)
