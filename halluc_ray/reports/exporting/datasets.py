"""The verdicts of a run as a folder of Parquet or CSV files, which appears at once or not at all.

What is written is counted, and held against report.json before the folder appears. Beside the files lies
`_export.json`, which readers of folders pass over. Knows verdict tables and files; does not know how a run is
found. Caller: `evaluation.exporting`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Literal

import pyarrow as pa

from halluc_ray.errors import ConservationError, StoreError
from halluc_ray.records import OUTCOMES
from halluc_ray.reports.exporting.part_files import PartFile, PartFiles, csv_writer, parquet_writer
from halluc_ray.reports.exporting.spreadsheets import guarded, guarded_schema
from halluc_ray.reports.exporting.verdicts import VerdictTable
from halluc_ray.reports.report import Report
from halluc_ray.storage.publishing import Publication, target

DatasetForm = Literal["parquet", "csv"]
MANIFEST = "_export.json"
VERSION = 1
_WRITERS = {"parquet": parquet_writer, "csv": csv_writer}
_Tally = Counter[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class WrittenDataset:
    """What was written.

    Attributes:
        uri: the folder.
        rows: units times indicators.
        files: in it, beside the manifest.
        guarded_cells: texts of CSV that got an apostrophe, for they begin as formulas do.
    """

    uri: str
    rows: int
    files: tuple[PartFile, ...]
    guarded_cells: int


def write_dataset(
    verdicts: VerdictTable,
    out: str,
    *,
    form: DatasetForm,
    report: Report,
    overwrite: bool = False,
    on_rows: Callable[[int], None] | None = None,
) -> WrittenDataset:
    """Write every verdict of a run.

    Args:
        verdicts: of the run.
        out: a folder or `s3://bucket/prefix`.
        form: of the files.
        report: of the same run.
        overwrite: replace an earlier export.
        on_rows: told now and then how many rows are written.

    Raises:
        RunIncomplete: shards are not committed.
        InputError: OUT holds something, or a corpus file that is needed is gone.
        ConservationError: the verdicts do not add up to the report; nothing is written.
        StoreError: OUT can't be written.
    """
    with target(out, publication=_publication(form), overwrite=overwrite) as place:
        schema = guarded_schema(verdicts.schema) if form == "csv" else verdicts.schema
        files = PartFiles(place.staging, schema, form, _WRITERS[form])
        tally, rows, changed = _Tally(), 0, 0
        try:
            for table in verdicts.tables():
                _count(tally, table)
                rows += len(table)
                table, cells = guarded(table) if form == "csv" else (table, 0)
                changed += cells
                files.add(table)
                if on_rows is not None:
                    on_rows(rows)
            done = tuple(files.close())
            _check(tally, report)
            manifest = _manifest(verdicts, report, form=form, rows=rows, guarded_cells=changed, files=done)
            (place.staging / MANIFEST).write_text(manifest, encoding="utf-8")
        except OSError as error:
            raise StoreError(
                f"can not write {place.staging}: {error.strerror or error}; free some space, or choose another OUT"
            ) from error
        place.publish([*(file.name for file in done), MANIFEST])
        return WrittenDataset(place.uri, rows, done, changed)


def _publication(form: DatasetForm) -> Publication:
    part = re.compile(rf"part-\d{{5,}}\.(?:{'|'.join(_WRITERS)})")
    return Publication(noun="export", manifest=MANIFEST, unfinished=f"export-is-unfinished.{form}", part=part)


def _count(tally: _Tally, table: pa.Table) -> None:
    groups = table.group_by(["system", "indicator", "outcome"]).aggregate([([], "count_all")])
    for group in groups.to_pylist():
        tally[group["system"], group["indicator"], group["outcome"]] += group["count_all"]


def _check(tally: _Tally, report: Report) -> None:
    """The rows that were written are those that the report counts."""
    told = Counter(
        {
            (rate.system, rate.indicator, outcome.label): getattr(rate, outcome.label)
            for rate in report.overall()
            for outcome in OUTCOMES
        }
    )
    if tally != told:
        key = min(key for key in {*tally, *told} if tally[key] != told[key])
        raise ConservationError(
            f"system {key[0]!r}, indicator {key[1]!r}: the parts hold {tally[key]:,} rows {key[2]}, report.json of run "
            f"{report.run_id} says {told[key]:,}; make it again with `halluc-ray report`"
        )


def _manifest(
    verdicts: VerdictTable,
    report: Report,
    *,
    form: DatasetForm,
    rows: int,
    guarded_cells: int,
    files: tuple[PartFile, ...],
) -> str:
    said = {
        "kind": _publication(form).kind,
        "version": VERSION,
        "run_id": verdicts.run_id,
        "signature": report.signature,
        "what": "verdicts",
        "format": form,
        "rows": rows,
        "columns": verdicts.schema.names,
        "guarded_cells": guarded_cells,
        "files": [asdict(file) for file in files],
        "made_with": {name: metadata.version(name) for name in ("halluc-ray", "pyarrow")},
    }
    return json.dumps(said, indent=2, ensure_ascii=False) + "\n"
