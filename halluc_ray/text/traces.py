"""Reasoning traces: what a model writes between think tags before it answers.

Knows the tags; does not judge what they hold. Called by every indicator that reads a response, so
that thoughts are never taken for claims.
"""

from __future__ import annotations

import re

_NAMES = "think|thinking|thought|reasoning"
_CLOSED = re.compile(rf"<({_NAMES})>.*?</\1>", re.DOTALL | re.IGNORECASE)
_OPEN = re.compile(rf"<(?:{_NAMES})>.*\Z", re.DOTALL | re.IGNORECASE)
_HEADLESS = re.compile(rf"\A.*</(?:{_NAMES})>", re.DOTALL | re.IGNORECASE)


def blank_traces(text: str) -> str:
    """The text with its traces replaced by as many spaces, so that offsets stay true.

    A trace that is never closed runs to the end; one that was opened in the prompt starts at the
    beginning.

    >>> blank_traces("<think>2+2</think>4")
    '                  4'
    """
    if "<" not in text:
        return text
    for pattern in (_CLOSED, _HEADLESS, _OPEN):
        text = pattern.sub(lambda match: " " * len(match.group()), text)
    return text


def strip_traces(text: str) -> str:
    """The answer alone: no traces, no white space around it.

    >>> strip_traces("<think>Paris? Yes.</think> Paris")
    'Paris'
    """
    return blank_traces(text).strip()
