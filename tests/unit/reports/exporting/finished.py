"""A finished run in a store: committed parts, run.json, reports, and where its corpus was read."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from halluc_ray.config.digest import canonical_json
from halluc_ray.evaluation.runs import RunFolder
from halluc_ray.reports.build import build_report
from halluc_ray.reports.duplicates import find_duplicates
from halluc_ray.reports.parts import read_count_commits
from halluc_ray.reports.reduce import reduce
from halluc_ray.storage import ObjectStore, keys
from halluc_ray.storage.files import list_files
from tests.unit.reports.handmade import Handmade, Row, Verdict

RUN_ID = "abc123"
INDICATORS = (("judged", "recorded_label", {"column": "bad"}), ("label", "label_mismatch", {}))
OUTCOMES = ("hallucinated", "supported", "abstained", "undecided", "not_applicable", "failed")


def many(number: int = 45) -> list[Row]:
    """Rows of two systems in three languages, all outcomes among them."""
    return [
        Row(
            f"q{at}",
            (
                Verdict(OUTCOMES[at % 6], f"why {at % 3}", (0, 2) if at % 6 == 0 else None, f"held {at}"),
                Verdict(OUTCOMES[(at // 2) % 2]),
            ),
            model=f"m{at % 2}",
            lang=("en", "zh", None)[at % 3],
            prompt=f"Question {at}?",
            response=f"=answer {at}",
            reference=f"ref {at}",
        )
        for at in range(number)
    ]


def finished(
    store: ObjectStore,
    folder: Path,
    rows: list[Row] | None = None,
    *,
    corpus_response: str | None = None,
    **options: Any,
) -> RunFolder:
    """Publish a run, its record and its report; `folder` holds the corpus.

    `corpus_response` takes the place of every response in the corpus, where the parts hold answers of their own.
    """
    settings = {"indicators": INDICATORS, "shard_rows": 4} | options
    made = Handmade(store, folder, many() if rows is None else rows, **settings)
    record = made.publish()
    corpus = folder / "corpus.parquet"
    if corpus_response is not None:
        table = pq.read_table(corpus)
        column = table.schema.get_field_index("response")
        pq.write_table(table.set_column(column, "response", pa.array([corpus_response] * len(table))), corpus)
    store.put(keys.run_key(RUN_ID, "run.json"), canonical_json(record.model_dump(mode="json")).encode())
    commits = read_count_commits(store, record)
    duplicates = find_duplicates(store, record, commits=commits)
    report = build_report(record, reduce(store, record, commits=commits), run_id=RUN_ID, duplicates=duplicates)
    store.put(keys.run_key(RUN_ID, "report.json"), report.to_json())
    store.put(keys.run_key(RUN_ID, "report.html"), b"<p>the page</p>")
    noted = {"sources": {"f" * 64: asdict(list_files(str(corpus))[0])}, "work": [{"finished": 1_700_000_000.5}]}
    store.put(keys.run_key(RUN_ID, "telemetry.json"), json.dumps(noted).encode())
    return RunFolder(store, RUN_ID)
