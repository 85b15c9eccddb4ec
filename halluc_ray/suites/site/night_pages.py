"""The pages of one night: its run and its baseline's, and what changed from the one to the other.

Knows how a run is found, paired with its baseline and held to the rule of publishing; not how a page looks.
Nothing on a page is a time, a path or a machine. Called by `rendering`.
"""

from __future__ import annotations

from pydantic import TypeAdapter, ValidationError

from halluc_ray.errors import InputError, RunIncomplete, SpecError, StoreError
from halluc_ray.evaluation.comparing import paired_sides
from halluc_ray.evaluation.runs import RunFolder
from halluc_ray.reports.comparing import compare_sides
from halluc_ray.reports.comparison_page import render_comparison
from halluc_ray.reports.files import published_page
from halluc_ray.reports.pairing import ID, ROW
from halluc_ray.reports.publishing import Rule, published_comparison
from halluc_ray.reports.render import PageContext
from halluc_ray.reports.site_place import CheckLine, NightNotes, SitePlace
from halluc_ray.storage import ObjectStore
from halluc_ray.suites.gating import read_gate
from halluc_ray.suites.nights import Night, NightBaseline
from halluc_ray.suites.site.marks import mark_of
from halluc_ray.suites.verdicts import WORST_FIRST, Check, GateResult

_HOME = "../index.html"
_GATE = TypeAdapter(GateResult)
_MOST_CHECKS = 60


def run_mark(suite: str, run_id: str, *, rule: Rule) -> str:
    """Of the page of a run."""
    return mark_of(rule, "run", suite, run_id)


def run_page(store: ObjectStore, suite: str, run_id: str, *, rule: Rule) -> bytes:
    """The page of a run, of a night or of a baseline.

    Raises:
        InputError: the run is gone.
        RunIncomplete: commits of it are.
    """
    run = RunFolder(store, run_id)
    place = SitePlace(suite, _HOME, run_mark(suite, run_id, rule=rule), rule)
    page = published_page(
        store,
        run.record(),
        run_id=run_id,
        sources=run.sources() if rule != "none" else {},
        rule=rule,
        context=PageContext(site=place),
    )
    return page.encode()


def night_mark(store: ObjectStore, night: Night, *, rule: Rule) -> str:
    """Of the page of what changed from a night's baseline to the night."""
    gate = read_gate(store, night).get("gate.json", b"")
    return mark_of(rule, "night", night.model_dump_json(), gate.decode())


def night_page(store: ObjectStore, night: Night, *, rule: Rule) -> bytes | None:
    """What changed from a night's baseline to the night; None where the two can't be paired (any more).

    Raises:
        StoreError: the store refuses, or the night's gate.json is none.
    """
    if night.baseline is None:
        return None
    before, run = RunFolder(store, night.baseline.run_id), RunFolder(store, night.run_id)
    try:
        pairs = paired_sides(before, run)
        by = ROW if all(a.corpus == b.corpus for a, b in pairs) else ID
        found = compare_sides(pairs, by=by)
    except (SpecError, InputError, RunIncomplete):
        return None
    notes = _notes(store, night, night.baseline, rule)
    return render_comparison(published_comparison(found, rule), night=notes).encode()


def _notes(store: ObjectStore, night: Night, baseline: NightBaseline, rule: Rule) -> NightNotes:
    checks = _checks(store, night)
    ranked = sorted(checks, key=lambda check: (WORST_FIRST.index(check.verdict), -check.excess))
    return NightNotes(
        place=SitePlace(night.suite, _HOME, night_mark(store, night, rule=rule), rule),
        spec=night.spec,
        date=night.date,
        verdict=str(night.gate.verdict) if night.gate else "",
        reason=night.gate.reason if night.gate else "",
        found_by=baseline.found_by,
        run=f"../runs/{night.run_id}.html",
        baseline=f"../runs/{baseline.run_id}.html",
        checks=tuple(map(_line, ranked[:_MOST_CHECKS])),
        hidden=len(ranked[_MOST_CHECKS:]),
    )


def _checks(store: ObjectStore, night: Night) -> tuple[Check, ...]:
    data = read_gate(store, night).get("gate.json")
    if data is None:
        return ()
    try:
        return _GATE.validate_json(data).checks
    except ValidationError as error:
        raise StoreError(
            f"{store.uri}: gate.json of {night.suite}, {night.name} is none that this version reads "
            f"({error.error_count()} problems); remove it, and the next `halluc-ray nightly` of that date writes it"
        ) from None


def _line(check: Check) -> CheckLine:
    return CheckLine(
        verdict=str(check.verdict),
        limit=check.limit,
        indicator=check.indicator,
        system=check.system,
        slice=dict(check.slice),
        rows=check.rows,
        value=check.value,
        low=check.low,
        high=check.high,
        allowed=check.allowed,
        detectable=check.detectable,
    )
