"""A committed run without an engine: plain rows, counted in plain Python, published as a count stage does."""

import io
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from halluc_ray.records import OUTCOMES
from halluc_ray.records.runs import (
    CorpusRecord,
    FileRecord,
    IndicatorRecord,
    RunRecord,
    SummaryRecord,
    SystemRecord,
)
from halluc_ray.records.schemas import COUNTS, GENERATIONS, SCORED, SCORES, verdict_schema
from halluc_ray.storage import commits
from halluc_ray.storage.parquet import encode
from halluc_ray.storage.store import ObjectStore

CODES = {outcome.label: int(outcome) for outcome in OUTCOMES}
TEXTS = ("id", "model", "lang", "prompt", "context", "reference", "response")


@dataclass(frozen=True)
class Verdict:
    """One indicator's word on one row."""

    outcome: str
    reason: str | None = None
    span: tuple[int, int] | None = None
    against: str | None = None


@dataclass(frozen=True)
class Row:
    """A corpus row with what the indicators made of it."""

    id: str
    verdicts: tuple[Verdict, ...]
    model: str | None = "m"
    lang: str | None = "en"
    prompt: str = "Who?"
    context: str = ""
    reference: str = ""
    response: str | None = "Nobody."
    words: int = 1
    cluster: int | None = None
    failure: str | None = None


@dataclass
class Handmade:
    """A run in the making."""

    store: ObjectStore
    folder: Path
    rows: list[Row]
    indicators: tuple[tuple[str, str, dict[str, Any]], ...] = (("judged", "recorded_label", {"column": "bad"}),)
    shard_rows: int = 4
    names_from_column: bool = True
    system: str = "m"
    kind: str = "recorded"
    slices: tuple[tuple[str, ...], ...] = (("lang",),)
    summaries: bool = True
    clustered: bool = False
    left_out: dict[str, int] = field(default_factory=dict)
    generate: str = "generate-" + "a" * 32
    count: str = "count-" + "c" * 32
    reverse: bool = False

    def shards(self) -> list[tuple[str, list[Row], int]]:
        cuts = [self.rows[at : at + self.shard_rows] for at in range(0, len(self.rows), self.shard_rows)] or [[]]
        return [(f"{at:032x}", rows, at * self.shard_rows) for at, rows in enumerate(cuts)]

    def record(self) -> RunRecord:
        corpus_rows = len(self.rows) + sum(self.left_out.values())
        return RunRecord(
            schema_version=1,
            corpus=CorpusRecord(
                files=(FileRecord(digest="f" * 64, rows=corpus_rows),),
                columns={role: role for role in ("id", "prompt", "context", "reference", "response")},
                cluster="cluster" if self.clustered else None,
                selection={},
            ),
            systems=(
                SystemRecord(
                    name=None if self.names_from_column else self.system,
                    kind=self.kind,
                    name_from="model" if self.names_from_column else None,
                    generate=self.generate,
                    scores=tuple(self.score_stage(k) for k in range(len(self.indicators))),
                    count=self.count,
                    shards=0,
                    determinism="bitwise",
                    numerics={},
                    settings={},
                ),
            ),
            indicators=tuple(
                IndicatorRecord(name=name, kind=kind, semantics_version=1, options=options)
                for name, kind, options in self.indicators
            ),
            slices=self.slices,
            summaries=(SummaryRecord(name="mean_words", column="words", where=None),) if self.summaries else (),
            shard_sets=(tuple((key, 0, 0, 1, at, at + len(rows)) for key, rows, at in self.shards()),),
            max_failed=0.01,
            confidence=0.95,
        )

    def score_stage(self, item: int) -> str:
        return f"score-{item:032x}"

    def publish(self) -> RunRecord:
        """Write the corpus file and commit every shard."""
        texts = {name: [getattr(row, name) for row in self.rows] for name in TEXTS}
        pq.write_table(
            pa.table(texts, schema=pa.schema([(n, pa.string()) for n in TEXTS])), self.folder / "corpus.parquet"
        )
        shards = self.shards()
        for at, (key, rows, _) in enumerate(reversed(shards) if self.reverse else shards):
            first = at == 0
            parts = {"": encode(self.verdicts(rows)), "counts": encode(self.counts(rows, with_left_out=first))}
            commits.publish(self.store, self.count, key, parts=parts, rows=len(rows))
            commits.publish(self.store, self.generate, key, parts={"": encode(self.generations(rows))}, rows=len(rows))
            for item in range(len(self.indicators)):
                part = encode(self.scores(rows, item))
                commits.publish(self.store, self.score_stage(item), key, parts={"": part}, rows=len(rows))
        return self.record()

    def open_corpus(self) -> pq.ParquetFile:
        return pq.ParquetFile(io.BytesIO((self.folder / "corpus.parquet").read_bytes()))

    def verdicts(self, rows: list[Row]) -> pa.Table:
        columns: dict[str, list[Any]] = {
            "row": list(range(len(rows))),
            "draw": [0] * len(rows),
            "id": [row.id for row in rows],
            "system": [row.model if self.names_from_column else None for row in rows],
            "failure": [row.failure for row in rows],
        }
        for k in range(len(self.indicators)):
            columns[f"outcome_{k}"] = [CODES[row.verdicts[k].outcome] for row in rows]
        return pa.table(columns, schema=verdict_schema(len(self.indicators)))

    def generations(self, rows: list[Row]) -> pa.Table:
        recorded = self.kind == "recorded"
        columns: dict[str, list[Any]] = {name: [None] * len(rows) for name in GENERATIONS.names}
        columns |= {"row": list(range(len(rows))), "draw": [0] * len(rows), "id": [row.id for row in rows]}
        columns["text"] = [None if recorded else row.response for row in rows]
        return pa.table(columns, schema=GENERATIONS)

    def scores(self, rows: list[Row], item: int) -> pa.Table:
        found = [row.verdicts[item] for row in rows]
        spans = [verdict.span for verdict in found]
        columns = {
            "row": list(range(len(rows))),
            "draw": [0] * len(rows),
            "state": [SCORED if CODES[verdict.outcome] < 2 else CODES[verdict.outcome] for verdict in found],
            "score": [float(verdict.outcome == "hallucinated") for verdict in found],
            "reason": [verdict.reason for verdict in found],
            "span_start": [span[0] if span else -1 for span in spans],
            "span_stop": [span[1] if span else -1 for span in spans],
            "span": [(row.response or "")[s[0] : s[1]] if s else None for row, s in zip(rows, spans, strict=True)],
            "against": [verdict.against for verdict in found],
        }
        return pa.table(columns, schema=SCORES)

    def counts(self, rows: list[Row], *, with_left_out: bool = False) -> pa.Table:
        found: Counter[tuple[Any, ...]] = Counter()
        for row in rows:
            system = (row.model or "") if self.names_from_column else ""
            cells = ["[]", *(json.dumps([getattr(row, c) for c in s], ensure_ascii=False) for s in self.slices)]
            for item, verdict in enumerate(row.verdicts):
                for position, cell in enumerate(cells):
                    found["outcomes", position, cell, system, item, "rows"] += 1
                    found["outcomes", position, cell, system, item, verdict.outcome] += 1
                found["reasons", 0, json.dumps([verdict.outcome, verdict.reason]), system, item, "rows"] += 1
                if self.clustered and verdict.outcome in ("hallucinated", "supported"):
                    found["clusters", 0, f"[{row.cluster}]", system, item, "defined"] += 1
                    found["clusters", 0, f"[{row.cluster}]", system, item, "hallucinated"] += (
                        verdict.outcome == "hallucinated"
                    )
            for position, cell in enumerate(cells) if self.summaries else ():
                found["summaries", position, cell, system, 0, "rows"] += 1
                found["summaries", position, cell, system, 0, "limb_0"] += row.words
            found["units", 0, "[]", system, 0, "rows"] += 1
            if row.failure:
                found["units", 0, "[]", system, 0, "failed"] += 1
                found["failures", 0, json.dumps([row.failure]), system, 0, "rows"] += 1
        found["selection", 0, "[]", "", 0, "selected"] += len(rows)
        found["selection", 0, "[]", "", 0, "corpus"] += len(rows)
        for fate, number in self.left_out.items() if with_left_out else ():
            found["selection", 0, "[]", "", 0, fate] += number
            found["selection", 0, "[]", "", 0, "corpus"] += number
        keys = [(*key, value) for key, value in found.items() if value]
        return pa.table({name: [key[k] for key in keys] for k, name in enumerate(COUNTS.names)}, schema=COUNTS)
