"""One corpus row as a model sees it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sample:
    """What a model is given for one corpus row.

    Attributes:
        row: offset of the row in its shard's row range, before any selection.
        id: the row's id as text; where the corpus has none, its location.
        fields: mapped texts by role (`prompt`, `context`, ...); a role whose value is null is absent.
    """

    row: int
    id: str
    fields: dict[str, str]
