"""Reasoning traces: what a model writes between think tags before it answers.

Knows the tags; does not judge what they hold. Called by every indicator that reads a response, so
that thoughts are never taken for claims.
"""

from __future__ import annotations

import re

_TAG = re.compile(r"<(/?)(?:think|thinking|thought|reasoning)>", re.IGNORECASE)


def blank_traces(text: str) -> str:
    """The text with its traces replaced by as many spaces, so that offsets stay true.

    A trace that is never closed runs to the end; one that was opened in the prompt starts at the
    beginning.

    >>> blank_traces("<think>2+2</think>4")
    '                  4'
    """
    if "<" not in text:
        return text
    visible: list[tuple[int, int]] = []
    at, opened = 0, None
    for tag in _TAG.finditer(text):
        if not tag[1]:
            opened = tag.start() if opened is None else opened
            continue
        if opened is None:
            visible.clear()
        else:
            visible.append((at, opened))
        at, opened = tag.end(), None
    visible.append((at, len(text) if opened is None else opened))
    pieces, at = [], 0
    for start, stop in visible:
        pieces += [" " * (start - at), text[start:stop]]
        at = stop
    return "".join([*pieces, " " * (len(text) - at)])


def strip_traces(text: str) -> str:
    """The answer alone: no traces, no white space around it.

    >>> strip_traces("<think>Paris? Yes.</think> Paris")
    'Paris'
    """
    return blank_traces(text).strip()
