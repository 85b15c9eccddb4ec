"""The files of a run: report.json, counts.parquet, verdicts.json, report.html.

Knows what each holds and where it lies; every byte but the page's is reproducible from the commits.
Callers: the engine's end, `halluc-ray report`.
"""

from __future__ import annotations

from collections.abc import Mapping

from halluc_ray.config.digest import canonical_json
from halluc_ray.records.runs import RunRecord
from halluc_ray.reports.build import build_report
from halluc_ray.reports.choosing import Cell
from halluc_ray.reports.duplicates import find_duplicates
from halluc_ray.reports.glance import worst_cells
from halluc_ray.reports.parts import CountCommits, read_count_commits
from halluc_ray.reports.reduce import reduce
from halluc_ray.reports.render import PageContext, render_page
from halluc_ray.reports.report import Report
from halluc_ray.reports.shown import shown_rows
from halluc_ray.reports.tidy import tidy
from halluc_ray.storage import keys
from halluc_ray.storage.files import CorpusFile
from halluc_ray.storage.parquet import encode
from halluc_ray.storage.store import ObjectStore


def write_reports(
    store: ObjectStore,
    record: RunRecord,
    *,
    run_id: str,
    sources: Mapping[str, CorpusFile] | None = None,
    page: PageContext | None = None,
) -> Report:
    """Reduce the run's commits and write its report.

    Args:
        store: where the run lies.
        record: the run.
        run_id: digest of the record; names the folder.
        sources: file digest -> corpus file, for the texts of samples; without one the page shows
            what the parts hold.
        page: spec, versions and date for the page.

    Raises:
        RunIncomplete: shards are not committed.
        ConservationError: counts do not add up; nothing is written.
    """
    commits = read_count_commits(store, record)
    counts = reduce(store, record, commits=commits)
    report = build_report(record, counts, run_id=run_id, duplicates=find_duplicates(store, record, commits=commits))
    store.put(keys.run_key(run_id, "counts.parquet"), encode(tidy(record, counts)))
    store.put(keys.run_key(run_id, "verdicts.json"), verdicts_json(record, commits, run_id=run_id))
    store.put(keys.run_key(run_id, "report.json"), report.to_json())
    worst = worst_cells(report)
    cells = [Cell(cell.rate.system, name, cell.rate.slice) for name, found in worst.cells.items() for cell in found]
    rows = shown_rows(store, record, sources=sources or {}, commits=commits, cells=cells)
    html = render_page(report, record=record, worst=worst, rows=rows, context=page)
    store.put(keys.run_key(run_id, "report.html"), html.encode())
    return report


def verdicts_json(record: RunRecord, commits: CountCommits, *, run_id: str) -> bytes:
    """Which parts hold the run's verdicts, one line each.

    A part's own key has a random attempt in it; the marker named here tells it. The digest is that of
    the part's bytes, and so the same wherever the run was computed.
    """
    head = {
        "run_id": run_id,
        "schema_version": record.schema_version,
        "outcomes": {f"outcome_{k}": indicator.name for k, indicator in enumerate(record.indicators)},
    }
    lines = [
        canonical_json(
            {
                "system": system.name,
                "name_from": system.name_from,
                "stage": system.count,
                "shard": commit.shard,
                "commit": keys.commit_key(system.count, commit.shard),
                "rows": commit.rows,
                "sha256": commit.parts[""],
            }
        )
        for system in record.systems
        for commit in commits.by_stage[system.count]
    ]
    text = canonical_json(head).removesuffix("}") + ',"parts":[\n' + ",\n".join(lines) + "\n]}\n"
    return text.encode()
