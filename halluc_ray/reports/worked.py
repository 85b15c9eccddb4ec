"""The worked samples of the page: a few per indicator, hallucinated ones with evidence first.

Knows how they are chosen (smallest hash of the id, within the first shards, so that the choice is the
same for any order of work) and how the evidence is cut out of the response. Caller: `files`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from halluc_ray.records import OUTCOMES
from halluc_ray.records.runs import RunRecord
from halluc_ray.reports.parts import CountCommits, read_count_commits
from halluc_ray.reports.sample_rows import ShardRows, sample_columns
from halluc_ray.storage.files import CorpusFile
from halluc_ray.storage.store import ObjectStore

_SHOWN = {"hallucinated": 4, "supported": 1, "abstained": 1, "undecided": 1, "not_applicable": 0, "failed": 1}
_CANDIDATES = 3
_SHARDS = 32
_SHARDS_PER_SYSTEM = 4
_PER_SHARD = 1000
_TEXT_CHARS = 1200
_AROUND = 400


@dataclass(frozen=True, slots=True)
class WorkedSample:
    """One unit as the page shows it. The response is `before` + `marked` + `after`."""

    indicator: str
    outcome: str
    reason: str | None
    system: str
    id: str
    prompt: str | None
    context: str | None
    reference: str | None
    before: str
    marked: str
    after: str
    against: str | None
    failure: str | None


@dataclass(frozen=True, slots=True)
class _Candidate:
    hash: int
    shard: int
    position: int


def worked_samples(
    store: ObjectStore,
    record: RunRecord,
    *,
    sources: Mapping[str, CorpusFile],
    commits: CountCommits | None = None,
) -> list[WorkedSample]:
    """A few samples per indicator, in the order of indicators and outcomes.

    Args:
        store: where the run lies.
        record: the run.
        sources: file digest -> corpus file; texts of files that are not given are left out.
        commits: markers that were read before; read here otherwise.
    """
    commits = commits or read_count_commits(store, record)
    shards = list(islice(_shards(store, record, sources, commits), _SHARDS))
    chosen = _candidates(record, shards)
    needed: dict[int, set[int]] = {}
    for candidates in chosen.values():
        for candidate in candidates:
            needed.setdefault(candidate.shard, set()).add(candidate.position)
    loaded = {shard: _load(shards[shard], sorted(positions)) for shard, positions in needed.items()}
    samples: list[WorkedSample] = []
    for (indicator, outcome), candidates in chosen.items():
        rows = [(candidate.hash, loaded[candidate.shard][candidate.position]) for candidate in candidates]
        rows.sort(key=lambda pair: (pair[1][f"{indicator}_span"] is None, pair[0]))
        samples += [_worked(indicator, outcome, row) for _, row in rows[: _SHOWN[outcome]]]
    return samples


def _shards(
    store: ObjectStore, record: RunRecord, sources: Mapping[str, CorpusFile], commits: CountCommits
) -> Iterator[ShardRows]:
    """Shards to look at: the first ones of each system in turn."""
    for at in range(_SHARDS_PER_SYSTEM):
        for system in record.systems:
            planned = record.shards(system)
            if at < len(planned):
                commit = commits.by_stage[system.count][at]
                yield ShardRows(store, record, system, planned[at], commit, sources)


def _candidates(record: RunRecord, shards: list[ShardRows]) -> dict[tuple[str, str], list[_Candidate]]:
    """Per indicator and outcome, the units with the smallest hashes."""
    columns = sample_columns(record)
    best: dict[tuple[str, str], list[_Candidate]] = {
        (indicator.name, outcome.label): [] for indicator in record.indicators for outcome in OUTCOMES
    }
    for at, shard in enumerate(shards):
        units = shard.verdicts()
        ids = units["id"].combine_chunks()
        for (indicator, outcome), found in best.items():
            mask = pc.equal(units[columns.outcome_of[indicator]], outcome).combine_chunks()
            positions = pc.indices_nonzero(mask)[:_PER_SHARD] if _SHOWN[outcome] else pa.array([], pa.uint64())
            names = zip(ids.take(positions).to_pylist(), positions.to_pylist(), strict=True)
            found += [_Candidate(xxhash.xxh3_64_intdigest(name.encode()), at, position) for name, position in names]
            found.sort(key=lambda candidate: (candidate.hash, candidate.shard, candidate.position))
            del found[_CANDIDATES * _SHOWN[outcome] :]
    return best


def _load(shard: ShardRows, positions: list[int]) -> dict[int, dict[str, Any]]:
    units = shard.verdicts().take(positions)
    pieces = (units, shard.evidence(positions), shard.texts(units["row"], positions))
    merged: list[dict[str, Any]] = [{} for _ in positions]
    for piece in pieces:
        for row, values in zip(merged, piece.to_pylist(), strict=True):
            row.update(values)
    return dict(zip(positions, merged, strict=True))


def _worked(indicator: str, outcome: str, row: dict[str, Any]) -> WorkedSample:
    before, marked, after = _cut(row["response"] or "", row[f"{indicator}_span_start"], row[f"{indicator}_span_stop"])
    return WorkedSample(
        indicator=indicator,
        outcome=outcome,
        reason=row[f"{indicator}_reason"],
        system=row["system"],
        id=row["id"],
        prompt=_short(row["prompt"]),
        context=_short(row["context"]),
        reference=_short(row["reference"] or row["label"]),
        before=before,
        marked=marked,
        after=after,
        against=row[f"{indicator}_against"],
        failure=row["failure"],
    )


def _cut(response: str, start: int | None, stop: int | None) -> tuple[str, str, str]:
    """The response around its evidence, shortened far from it; the evidence too where it is as long as a text."""
    if start is None or stop is None or not 0 <= start < stop <= len(response):
        return _short(response) or "", "", ""
    before, after = response[:start], response[stop:]
    if len(before) > _AROUND:
        before = "…" + before[-_AROUND:]
    if len(after) > _AROUND:
        after = after[:_AROUND] + "…"
    return before, _short(response[start:stop]) or "", after


def _short(text: str | None) -> str | None:
    return text if text is None or len(text) <= _TEXT_CHARS else text[:_TEXT_CHARS] + "…"
