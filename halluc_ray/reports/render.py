"""The page of a run: one HTML file that needs no network, and no script to show its numbers.

Knows what goes where on the page and how large it may get; the numbers are the report's, the words the
template's. Caller: `files`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from halluc_ray.records import OUTCOMES
from halluc_ray.records.runs import RunRecord
from halluc_ray.reports.assets import page_assets
from halluc_ray.reports.glance import Worst
from halluc_ray.reports.payload import EMPTY, payload_of
from halluc_ray.reports.plot import axis_for
from halluc_ray.reports.report import Rate, Report
from halluc_ray.reports.shown import ShownRow
from halluc_ray.reports.site_place import SitePlace
from halluc_ray.reports.templating import grouped, render_template
from halluc_ray.reports.views import (
    cell_text,
    headlines_view,
    indicator_view,
    largest_cells,
    measure_of,
    settings_view,
    shown_systems,
    summaries_view,
    worst_view,
)
from halluc_ray.reports.words import json_text, page_words, phrase
from halluc_ray.reports.worked import worked_samples

MOST_BYTES = 1_950_000
_CHARTED_RATES = 4000
_CHARTED_CELLS = 40
_DIGITS = 5


@dataclass(frozen=True, slots=True)
class PageContext:
    """What the page tells beside the report; none of it is a result.

    Attributes:
        spec_text: the spec as YAML, to run it again.
        versions: package -> version.
        date: when it was computed, as text.
        site: the site that it is a page of.
    """

    spec_text: str | None = None
    versions: Mapping[str, str] | None = None
    date: str | None = None
    site: SitePlace | None = None


def render_page(
    report: Report,
    *,
    record: RunRecord,
    worst: Worst,
    rows: Sequence[ShownRow] = (),
    context: PageContext | None = None,
) -> str:
    """The page; samples take what its other parts leave of `MOST_BYTES`.

    Args:
        report: the run's report.
        record: the run, for options and settings.
        worst: the report's worst cells.
        rows: rows to read, the first choice first.
        context: spec, versions and date, where they are known.
    """
    values = _values(report, record, worst, rows, context or PageContext())
    rest = len(render_template("report.html.jinja", samples=EMPTY, **values).encode())
    names = [facts.system for facts in report.systems]
    samples = payload_of(record, rows, systems=names, most_bytes=MOST_BYTES - rest)
    return render_template("report.html.jinja", samples=samples, **values)


def _values(
    report: Report, record: RunRecord, worst: Worst, rows: Sequence[ShownRow], context: PageContext
) -> dict[str, Any]:
    worked = worked_samples(record, rows)
    measures = {indicator.name: measure_of(record, at) for at, indicator in enumerate(record.indicators)}
    systems = shown_systems(report, record)
    headlines = headlines_view(report, record)
    return {
        "assets": page_assets(),
        "report": report,
        "context": context,
        "heading": measures.popitem()[1] if len(set(measures.values())) == 1 else "both_rates",
        "headlines": headlines,
        "hidden_headlines": len(report.systems) - len(headlines) if record.indicators else 0,
        "full_axis": axis_for(()),
        "worst": [worst_view(cell) for found in worst.cells.values() for cell in found],
        "looked_at": worst.looked_at,
        "indicators": [
            indicator_view(report, record, at, systems=systems, samples=worked) for at in range(len(record.indicators))
        ],
        "summaries": summaries_view(report.summaries),
        "systems": report.systems,
        "shown_facts": [facts for facts in report.systems if facts.system in systems],
        "confidence": f"{100 * record.confidence:g}\N{NO-BREAK SPACE}%",
        "settings": [settings_view(system.model_dump(mode="json")) for system in record.systems],
        "tokens": any(facts.output_tokens for facts in report.systems),
        "outcomes": [outcome.label for outcome in OUTCOMES],
        "cell": cell_text,
        "counted": _counted,
        "page_data": json_text(_page_data(report, record, systems, worst)),
    }


def _counted(what: str, number: int) -> dict[str, object]:
    return phrase(f"one_{what}") if number == 1 else phrase(f"n_{what}s", n=grouped(number))


def _page_data(report: Report, record: RunRecord, shown: frozenset[str], worst: Worst) -> dict[str, Any]:
    """What the charts draw: every overall rate, the largest cells of every slice, the worst cells."""
    systems = [facts.system for facts in report.systems if facts.system in shown]
    room = _CHARTED_RATES // max(1, len(record.indicators) * len(record.slices) * len(systems))
    charted = [rate for rate in report.overall() if rate.system in shown]
    for indicator in record.indicators:
        rates = [rate for rate in report.rates if rate.indicator == indicator.name and rate.system in shown]
        for columns in record.slices:
            charted += largest_cells(rates, columns)[: min(_CHARTED_CELLS, max(1, room)) * len(systems)]
    return {
        "run": report.run_id,
        "words": page_words(),
        "systems": systems,
        "indicators": [indicator.name for indicator in record.indicators],
        "rates": [_numbers(rate) for rate in charted if not rate.folded_cells],
        "worst": [
            _numbers(cell.rate) | {"whole": _rounded(cell.whole.rate)}
            for found in worst.cells.values()
            for cell in found
        ],
    }


def _numbers(rate: Rate) -> dict[str, Any]:
    return {
        "system": rate.system,
        "indicator": rate.indicator,
        "slice": dict(rate.slice) or None,
        "rate": _rounded(rate.rate),
        "low": _rounded(rate.low),
        "high": _rounded(rate.high),
        "rows": rate.rows,
    }


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, _DIGITS)
