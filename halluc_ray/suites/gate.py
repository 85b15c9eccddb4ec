"""The gate, which says whether a run may be released.

Knows which checks a policy asks of a run and how their verdicts make one; the rule of a check is
`judging`'s. Callers: the command line, the nightly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from halluc_ray.errors import SpecError
from halluc_ray.evaluation.comparing import Target
from halluc_ray.reports.cells import cell_values
from halluc_ray.reports.comparing import FEWEST_PAIRS
from halluc_ray.statistics.paired import paired_difference
from halluc_ray.suites.judging import Measured, Question, judge, measure_increase, measure_share
from halluc_ray.suites.policy import GatePolicy, GateRule
from halluc_ray.suites.subjects import Subject, Subjects, cell_key, subjects_of
from halluc_ray.suites.verdicts import (
    SCHEMA_VERSION,
    WORST_FIRST,
    Check,
    GateResult,
    Verdict,
    WorstCell,
    cell_name,
    percent,
)

Asked = list[tuple[Question, Measured]]


def gate(
    run: Target,
    *,
    policy: GatePolicy,
    system: str | None = None,
    baseline: Target | None = None,
    baseline_system: str | None = None,
    by: str | None = None,
) -> GateResult:
    """Hold a run against a policy, and against a baseline where the policy speaks of increases.

    Args:
        run: the run to gate.
        policy: what it must hold.
        system: one of its systems; default: all of them.
        baseline: the run that it is held against.
        baseline_system: the baseline's system; default: that of the same name, or the only one.
        by: `row`, `id` or a column; default: by row where both read the same rows, else by id.

    Raises:
        SpecError: the policy names what the run does not have; corpora that can't be paired.
        RunIncomplete: shards are missing.
    """
    subjects = subjects_of(run, system=system, baseline=baseline, baseline_system=baseline_system, by=by)
    asked: Asked = []
    skipped = 0
    for position, rule in enumerate(policy.rules):
        skipped += _ask(rule, f"rules[{position}]", subjects, policy, asked)
    if not asked:
        raise SpecError("the policy asks nothing of this run: no cell has as many rows as min_rows; lower it")
    checks = judge(_once(asked), policy=policy)
    worst = _worst(subjects, policy)
    verdict = min((check.verdict for check in checks), key=WORST_FIRST.index)
    return GateResult(
        schema_version=SCHEMA_VERSION,
        verdict=verdict,
        reason=_reason(verdict, checks, worst, baseline=subjects.baseline_id),
        run=subjects.run_id,
        baseline=subjects.baseline_id,
        by=subjects.by,
        confidence=policy.confidence,
        power=policy.power,
        not_judged=skipped,
        worst=worst,
        notes=tuple(dict.fromkeys(note for subject in subjects.each for note in subject.notes)),
        checks=tuple(checks),
    )


def _ask(rule: GateRule, place: str, subjects: Subjects, policy: GatePolicy, asked: Asked) -> int:
    """Add a rule's questions; returns how many cells have too few rows."""
    record = subjects.each[0].side.record
    chosen = [subject for subject in subjects.each if rule.system in (None, subject.name)]
    indicators = [entry.name for entry in record.indicators if rule.indicator in (None, entry.name)]
    known = [subject.name for subject in subjects.each]
    if not chosen:
        raise SpecError(f"{place}.system: the run has no system {rule.system!r}; it has {', '.join(known)}")
    if not indicators:
        names = ", ".join(entry.name for entry in record.indicators)
        raise SpecError(f"{place}.indicator: the run has no indicator {rule.indicator!r}; it has {names or 'none'}")
    columns = next((entry for entry in ((), *record.slices) if set(entry) == set(rule.columns)), None)
    if columns is None:
        slices = "; ".join(", ".join(entry) for entry in record.slices) or "none"
        raise SpecError(f"{place}.slice: the run has no slice by {', '.join(rule.columns)}; its slices: {slices}")
    skipped = 0
    for subject in chosen:
        for indicator in indicators:
            for cell, rows in _cells(rule, subject, indicator, columns):
                if rows < rule.min_rows:
                    skipped += 1
                else:
                    asked.extend(_questions(rule, subject, indicator, cell, policy, paired=subjects.by is not None))
    return skipped


def _cells(
    rule: GateRule, subject: Subject, indicator: str, columns: tuple[str, ...]
) -> Iterator[tuple[dict[str, Any], int]]:
    """The cells that a rule names, with their rows; a cell that is named alone may have none."""
    found = [(dict(rate.slice), rate.rows) for rate in subject.cells(indicator, columns)]
    if not isinstance(rule.slice, dict) or not columns:
        yield from found
        return
    wanted = {column: rule.slice[column] for column in columns}
    yield next(((cell, rows) for cell, rows in found if cell == wanted), (wanted, 0))


def _questions(
    rule: GateRule, subject: Subject, indicator: str, cell: dict[str, Any], policy: GatePolicy, *, paired: bool
) -> Iterator[tuple[Question, Measured]]:
    columns, key = tuple(cell), cell_key(cell)
    rate = subject.rates.get((indicator, columns, key))
    effect = subject.effects.get(indicator, 1.0)
    drop = rule.answered_drop if paired or rule.max_answered_drop is not None else None
    for limit, allowed in (("max_increase", rule.max_increase), ("max_answered_drop", drop)):
        if allowed is not None:
            question = Question(subject.name, indicator, cell, limit, allowed)
            yield question, _increase(subject, question, key, policy)
    if rule.max_rate is not None:
        question = Question(subject.name, indicator, cell, "max_rate", rule.max_rate)
        count, rows = (rate.hallucinated, rate.defined) if rate else (0, 0)
        yield question, measure_share(count, rows=rows, limit=rule.max_rate, policy=policy, design_effect=effect)
    if rule.min_answered_share is not None:
        question = Question(subject.name, indicator, cell, "min_answered_share", rule.min_answered_share)
        count, rows = (rate.abstained + rate.failed, rate.rows) if rate else (0, 0)
        silent = 1 - rule.min_answered_share
        yield question, measure_share(count, rows=rows, limit=silent, policy=policy, design_effect=effect)


def _increase(subject: Subject, question: Question, key: str, policy: GatePolicy) -> Measured:
    if subject.pairs is None:
        return Measured(0, missing=subject.alone)
    found = subject.pairs.get((question.indicator, subject.position(tuple(question.slice)), key))
    if found is None:
        return Measured(0, missing=subject.alone)
    counts = found.verdicts if question.limit == "max_increase" else found.silence
    return measure_increase(counts, limit=question.allowed, policy=policy, unchanged=subject.unchanged)


def _once(asked: Asked) -> Asked:
    """Questions that several rules ask are asked once: each would cost the others of its family."""
    found: dict[str, tuple[Question, Measured]] = {}
    for question, measured in asked:
        found.setdefault(repr(question), (question, measured))
    return list(found.values())


def _worst(subjects: Subjects, policy: GatePolicy) -> WorstCell | None:
    """The cell whose interval begins highest: of the increase, or of the rate where there is no baseline."""
    cells = [cell for subject in subjects.each for cell in _candidates(subject, policy)]
    return max(cells, key=lambda cell: cell.low, default=None)


def _candidates(subject: Subject, policy: GatePolicy) -> Iterator[WorstCell]:
    slices = subject.side.record.slices
    if subject.pairs is not None:
        for cell in subject.pairs.values():
            if cell.slice and cell.verdicts.pairs >= FEWEST_PAIRS:
                value, low, high = paired_difference(cell.verdicts, confidence=policy.confidence)
                place = cell_values(cell.cell, slices[cell.slice - 1])
                yield WorstCell(subject.name, cell.indicator, place, cell.verdicts.pairs, value, low, high)
        return
    for rate in subject.rates.values():
        if rate.slice and not rate.folded_cells and rate.defined >= FEWEST_PAIRS:
            ends = (rate.rate or 0.0, rate.low or 0.0, rate.high or 0.0)
            yield WorstCell(subject.name, rate.indicator, rate.slice, rate.defined, *ends)


def _reason(verdict: Verdict, checks: Sequence[Check], worst: WorstCell | None, *, baseline: str | None) -> str:
    """One sentence: how many checks, the one that decides, and where it is worst."""
    deciding = [check for check in checks if check.verdict is verdict]
    if verdict is Verdict.PASS:
        said = "the one check passed" if len(checks) == 1 else f"all {len(checks)} checks passed"
    else:
        word = "failed" if verdict is Verdict.FAIL else "could not be decided"
        first = max(deciding, key=lambda check: check.excess)
        said = f"{len(deciding)} of {len(checks)} checks {word}; {first.reason}"
    if worst is None:
        return said
    what = "rate" if baseline is None else "increase"
    interval = f"{percent(worst.low)} to {percent(worst.high)}"
    return (
        f"{said}; the worst slice is {cell_name(worst.slice)} ({worst.indicator}, {worst.system}): {what} "
        f"{percent(worst.value)}, interval {interval}"
    )
