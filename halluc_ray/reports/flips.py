"""Flips with both answers side by side: a bounded number each way, chosen by hash of their key.

Knows where pairs lie in the parts of either side; does not count them. Caller: `comparing`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from halluc_ray.records import Outcome
from halluc_ray.reports.comparison import Answer, Flip
from halluc_ray.reports.pairing import Pairs
from halluc_ray.reports.sides import Side

_MOST_CHARACTERS = 4000
_DIRECTIONS = {
    "worse": (Outcome.SUPPORTED, Outcome.HALLUCINATED),
    "better": (Outcome.HALLUCINATED, Outcome.SUPPORTED),
}
_Place = tuple[int, int]


def find_flips(pairs: Pairs, a: Side, b: Side, *, most: int) -> list[Flip]:
    """Flips of every indicator.

    Args:
        pairs: of A and B.
        a, b: the systems.
        most: flips of an indicator and direction.
    """
    chosen = [
        (indicator, direction, place_a, place_b)
        for item, indicator in enumerate(pairs.question.indicators)
        for direction in _DIRECTIONS
        for place_a, place_b in _places(pairs, item, direction, most)
    ]
    left = _units(a, [place for _, _, place, _ in chosen])
    right = _units(b, [place for _, _, _, place in chosen])
    return [
        _flip(indicator, direction, left[place_a], right[place_b]) for indicator, direction, place_a, place_b in chosen
    ]


def _places(pairs: Pairs, item: int, direction: str, most: int) -> Iterator[tuple[_Place, _Place]]:
    of_a, of_b = _DIRECTIONS[direction]
    query = (
        f"SELECT a_shard, a_at, b_shard, b_at FROM pairs WHERE a_{item} = ? AND b_{item} = ? "  # noqa: S608 - numbers
        "ORDER BY md5(key::VARCHAR || ' ' || draw::VARCHAR), key, draw LIMIT ?"
    )
    for a_shard, a_at, b_shard, b_at in pairs.database.execute(query, [int(of_a), int(of_b), most]).fetchall():
        yield (a_shard, a_at), (b_shard, b_at)


def _units(side: Side, places: Sequence[_Place]) -> dict[_Place, dict[str, Any]]:
    """Units with verdicts, evidence and texts; every shard is read once."""
    wanted: dict[int, set[int]] = {}
    for shard, at in places:
        wanted.setdefault(shard, set()).add(at)
    markers = side.markers() if wanted else []
    shards = side.record.shards(side.system)
    found: dict[_Place, dict[str, Any]] = {}
    for number in sorted(wanted):
        rows = side.rows(shards[number], markers[number])
        positions = pa.array(sorted(wanted[number]), pa.int64())
        units = rows.verdicts().take(positions)
        pieces = (units, rows.evidence(positions), rows.texts(units["row"], positions))
        for at, *values in zip(positions.to_pylist(), *(piece.to_pylist() for piece in pieces), strict=True):
            found[number, at] = {name: value for piece in values for name, value in piece.items()}
    return found


def _flip(indicator: str, direction: str, left: dict[str, Any], right: dict[str, Any]) -> Flip:
    outcomes = [outcome.label for outcome in _DIRECTIONS[direction]]
    return Flip(
        system_a=left["system"],
        system_b=right["system"],
        indicator=indicator,
        direction=direction,
        id=left["id"],
        draw=left["draw"],
        prompt=_short(left["prompt"]),
        context=_short(left["context"]),
        reference=_short(left["reference"] or left["label"]),
        a=_answer(indicator, outcomes[0], left),
        b=_answer(indicator, outcomes[1], right),
    )


def _answer(indicator: str, outcome: str, unit: dict[str, Any]) -> Answer:
    start, stop = unit[f"{indicator}_span_start"], unit[f"{indicator}_span_stop"]
    shown = stop is not None and stop <= _MOST_CHARACTERS
    return Answer(
        response=_short(unit["response"]),
        outcome=outcome,
        reason=unit[f"{indicator}_reason"],
        span_start=start if shown else None,
        span_stop=stop if shown else None,
        against=_short(unit[f"{indicator}_against"]),
        failure=unit["failure"],
    )


def _short(text: str | None) -> str | None:
    return text if text is None or len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + "…"
