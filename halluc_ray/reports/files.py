"""The files of a run: report.json, counts.parquet, verdicts.json, report.html.

Knows what each holds and where it lies; every byte but the page's is reproducible from the commits.
Callers: the engine's end, `halluc-ray report`, the site.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import TypeAdapter, ValidationError

from halluc_ray.config.digest import canonical_json
from halluc_ray.errors import ObjectMissing, RunIncomplete, StoreError
from halluc_ray.records.runs import RunRecord
from halluc_ray.reports.build import build_report
from halluc_ray.reports.choosing import Cell
from halluc_ray.reports.duplicates import find_duplicates
from halluc_ray.reports.glance import worst_cells
from halluc_ray.reports.parts import CountCommits, read_count_commits
from halluc_ray.reports.publishing import Rule, published_record, published_report, published_rows
from halluc_ray.reports.reduce import reduce
from halluc_ray.reports.render import PageContext, render_page
from halluc_ray.reports.report import Report
from halluc_ray.reports.shown import ShownRow, shown_rows
from halluc_ray.reports.tidy import tidy
from halluc_ray.storage import keys
from halluc_ray.storage.files import CorpusFile
from halluc_ray.storage.parquet import encode
from halluc_ray.storage.store import ObjectStore

_REPORT = TypeAdapter(Report)


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
    html = _page(store, record, report, commits=commits, sources=sources or {}, rule="all", context=page)
    store.put(keys.run_key(run_id, "report.html"), html.encode())
    return report


def published_page(
    store: ObjectStore,
    record: RunRecord,
    *,
    run_id: str,
    sources: Mapping[str, CorpusFile],
    rule: Rule,
    context: PageContext,
) -> str:
    """The page of a finished run, with no more of its texts than a rule lets pass; writes nothing.

    Args:
        store: where the run lies.
        record: the run.
        run_id: digest of the record.
        sources: file digest -> corpus file, for the texts of samples.
        rule: what may be published.
        context: what the page tells beside the report.

    Raises:
        RunIncomplete: shards are not committed.
    """
    commits = read_count_commits(store, record)
    counts = reduce(store, record, commits=commits)
    report = build_report(record, counts, run_id=run_id, duplicates=find_duplicates(store, record, commits=commits))
    return _page(store, record, report, commits=commits, sources=sources, rule=rule, context=context)


def _page(
    store: ObjectStore,
    record: RunRecord,
    report: Report,
    *,
    commits: CountCommits,
    sources: Mapping[str, CorpusFile],
    rule: Rule,
    context: PageContext | None,
) -> str:
    worst = worst_cells(report)
    rows: list[ShownRow] = []
    if rule != "none":
        cells = [Cell(cell.rate.system, name, cell.rate.slice) for name, found in worst.cells.items() for cell in found]
        rows = shown_rows(store, record, sources=sources, commits=commits, cells=cells)
    return render_page(
        published_report(report, rule),
        record=published_record(record, rule),
        worst=worst,
        rows=published_rows(rows, record, rule),
        context=context,
    )


def read_report(store: ObjectStore, run_id: str) -> Report:
    """The report of a finished run, from its report.json.

    Raises:
        RunIncomplete: there is none yet.
        StoreError: it is not that of a report.
    """
    key = keys.run_key(run_id, "report.json")
    where = f"{store.uri.rstrip('/')}/{key}"
    try:
        return _REPORT.validate_json(store.read(key))
    except ObjectMissing:
        raise RunIncomplete(
            f"{where} is not there: finish the run, or make its report with `halluc-ray report`"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        raise StoreError(
            f"{where} is no report of this version ({'.'.join(map(str, first['loc']))}: {first['msg']}); make it again "
            "with `halluc-ray report`"
        ) from error


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
