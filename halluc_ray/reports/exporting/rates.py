"""The rates of a report as one table: a row per system, indicator and slice cell, as Parquet or CSV.

Knows reports; caller: `evaluation.exporting`.
"""

from __future__ import annotations

import io
from dataclasses import fields

import pyarrow as pa
import pyarrow.csv as pa_csv

from halluc_ray.config.digest import canonical_json
from halluc_ray.reports.exporting.datasets import DatasetForm
from halluc_ray.reports.exporting.spreadsheets import guarded
from halluc_ray.reports.report import Rate, Report
from halluc_ray.storage.parquet import encode

_TYPES = {"system": pa.string(), "indicator": pa.string(), "slice": pa.string()}
_SHARES = {"rate", "low", "high", "confidence", "answered_share"}


def rates_table(report: Report) -> pa.Table:
    """Fields as in report.json, the run's id before them; `slice` is a JSON object, `{}` for all rows."""
    names = [field.name for field in fields(Rate)]
    types = {name: _TYPES.get(name, pa.float64() if name in _SHARES else pa.int64()) for name in names}
    columns = {name: [getattr(rate, name) for rate in report.rates] for name in names}
    columns["slice"] = [canonical_json(dict(cell)) for cell in columns["slice"]]
    run = pa.array([report.run_id] * len(report.rates), pa.string())
    return pa.table({"run_id": run, **{name: pa.array(columns[name], types[name]) for name in names}})


def rates_file(report: Report, *, form: DatasetForm) -> bytes:
    """The table as one file; texts in CSV are guarded."""
    table = rates_table(report)
    if form == "parquet":
        return encode(table)
    sink = io.BytesIO()
    pa_csv.write_csv(guarded(table)[0], sink)
    return sink.getvalue()
