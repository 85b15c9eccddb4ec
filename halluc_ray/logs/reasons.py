"""An error as a field of a log line: one line, bounded, without what an unknown error may quote.

Knows the tree of errors. Called by whoever logs that something went wrong.
"""

from __future__ import annotations

import re

from halluc_ray.errors import HallucRayError

MAX_CHARACTERS = 500
_PLACE = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')


def reason_of(error: BaseException) -> str:
    """Class and first line of an error of ours; of any other the class, and the place where it is known.

    Messages of our own errors name rows and never quote them. What another library says may hold a
    sample's text.

    >>> reason_of(ValueError("I am the text of a sample"))
    'ValueError'
    """
    kind = type(error).__name__
    if not isinstance(error, HallucRayError):
        return kind
    text = error.logged or str(error)
    if type(error) is HallucRayError:  # stands for an error of another library, which it names and quotes
        named, colon, _ = text.partition(":")
        where = "".join(f" in {file.rsplit('/', 1)[-1]} line {line}" for file, line in _PLACE.findall(text)[-1:])
        return (named if colon else kind) + where
    first = text.strip().split("\n", 1)[0]
    plain = " ".join("".join(c if c.isprintable() else " " for c in first).split())
    return f"{kind}: {plain}"[:MAX_CHARACTERS]
