r"""Halves of surrogate pairs in the bytes of a JSON document, made visible before a parser hides them.

The streaming parser turns a `\ud83d` without its second half into a question mark, and stops at a second
half without its first. Both are written as U+FDD0, which is no character, so that the record that holds one
can be refused. Pure. Caller: `json_values`.
"""

from __future__ import annotations

import re

MARK = "\ufdd0"
_ESCAPED_MARK = rb"\ufdd0"
_SUSPECT = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}(?P<pair>\\u[dD][c-fC-F][0-9a-fA-F]{2})?|(?P<low>u[dD][c-fC-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_FIRST_HALF = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}")
_LONGEST_ESCAPE = 12


class HalfPairs:
    """Marks halves block by block.

    Attributes:
        marked: how many so far.
    """

    def __init__(self) -> None:
        self.marked = 0
        self._held = b""

    def feed(self, block: bytes) -> bytes:
        """What can be parsed already; an escape that the block cuts is held until the next. Empty: the end."""
        data, self._held = self._held + block, b""
        if block and (start := data.find(b"\\", max(0, len(data) - _LONGEST_ESCAPE))) >= 0:
            start = _run_start(data, start)
            if _FIRST_HALF.fullmatch(data, max(0, start - 6), start):
                start = _run_start(data, start - 6)
            data, self._held = data[:start], data[start:]
        return _ESCAPE.sub(self._marked, data) if _SUSPECT.search(data) else data

    def _marked(self, match: re.Match[bytes]) -> bytes:
        escape = match[0]
        if match["pair"] is not None or (match["low"] is None and len(escape) == 2):
            return escape
        self.marked += 1
        return _ESCAPED_MARK


def _run_start(data: bytes, at: int) -> int:
    """Where the backslashes begin that end at one: which of them escape is told from there alone."""
    return len(data[:at].rstrip(b"\\"))
