"""Compare pairs of systems: counts of pairs, then the divisions, tests and Holm's adjustment over all of them.

Knows sides and what makes two runs comparable; does not know where runs lie. Callers:
`evaluation.comparing`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from halluc_ray.errors import SpecError
from halluc_ray.records.runs import IndicatorRecord
from halluc_ray.reports.cells import MAX_CELLS, cell_order, cell_values
from halluc_ray.reports.comparison import SCHEMA_VERSION, Comparison, Crossing, Difference, Flip, Pairing
from halluc_ray.reports.flips import find_flips
from halluc_ray.reports.pair_counts import PairedCell, cells_left_out, count_pairs
from halluc_ray.reports.pairing import ID, ROW, Pairs, Question, paired
from halluc_ray.reports.sides import Side
from halluc_ray.statistics.paired import holm, no_difference, paired_difference

FEWEST_PAIRS = 10
FLIPS = 20
_DIGITS = 12


@dataclass(frozen=True, slots=True)
class PairedSystems:
    """Two systems, paired and counted."""

    pairing: Pairing
    question: Question
    cells: tuple[PairedCell, ...]
    flips: tuple[Flip, ...]


def compare_sides(pairs: Sequence[tuple[Side, Side]], *, by: str = ROW, flips: int = FLIPS) -> Comparison:
    """Compare systems two by two.

    Args:
        pairs: (A, B): every A of one run, every B of one run.
        by: `row`, `id`, or a corpus column.
        flips: shown of each indicator and direction.

    Raises:
        SpecError: the two can't be paired; says why and what to do.
        InputError: a corpus file is gone that slices, clusters or keys are read from.
    """
    found = [pair_systems(a, b, by=by, flips=flips) for a, b in pairs]
    first, second = pairs[0]
    differences = _adjusted([entry for each in found for entry in _differences(each, first.record.confidence)])
    return Comparison(
        schema_version=SCHEMA_VERSION,
        run_a=first.run_id,
        run_b=second.run_id,
        by=by,
        confidence=first.record.confidence,
        family=sum(entry.p_holm is not None for entry in differences),
        fewest_pairs=FEWEST_PAIRS,
        notes=tuple(_notes(first, second, found, by)),
        pairings=tuple(each.pairing for each in found),
        differences=tuple(differences),
        flips=tuple(flip for each in found for flip in each.flips),
    )


def pair_systems(
    a: Side, b: Side, *, by: str, flips: int = 0, slices: tuple[tuple[str, ...], ...] | None = None
) -> PairedSystems:
    """Pair two systems and count, by A's slices unless others are given. Raises as `compare_sides`."""
    question = question_of(a, b, by=by)
    if slices is not None:
        question = replace(question, slices=slices)
    with paired(a, b, question) as pairs:
        if not pairs.count:
            raise SpecError(_nothing_in_common(a, b, pairs))
        cells = tuple(count_pairs(pairs))
        return PairedSystems(
            _pairing(a, b, pairs, cells), question, cells, tuple(find_flips(pairs, a, b, most=flips) if flips else ())
        )


def question_of(a: Side, b: Side, *, by: str) -> Question:
    """What can be asked of both.

    Raises:
        SpecError: no common indicator; rows of other corpora; ids that are not mapped.
    """
    names = {indicator.name for indicator in b.record.indicators}
    indicators = tuple(indicator.name for indicator in a.record.indicators if indicator.name in names)
    if not indicators:
        raise SpecError(
            f"runs {a.run_id} and {b.run_id} have no indicator in common: {_names(a)} and {_names(b)}; "
            "run one of them with an indicator of the other"
        )
    if by == ROW and a.corpus != b.corpus:
        raise SpecError(
            f"runs {a.run_id} and {b.run_id} read other rows ({_corpus(a)}; {_corpus(b)}), so rows can't be paired by "
            "their place; compare what they have in common with --by id, or --by COLUMN"
        )
    unmapped = [side.run_id for side in (a, b) if "id" not in side.record.corpus.columns]
    if by == ID and unmapped:
        raise SpecError(f"--by id: run {unmapped[0]} has no id column (corpus.columns.id); pair by row, or --by COLUMN")
    draws = "" if max(a.system.draws, b.system.draws) > 1 else None
    return Question(by, indicators, a.record.slices, a.record.corpus.cluster or draws)


def _differences(found: PairedSystems, confidence: float) -> Iterator[Difference]:
    shown = (cell for cell in found.cells if not cell.slice or cell.verdicts.pairs >= FEWEST_PAIRS)
    for cell in sorted(shown, key=lambda cell: (cell.slice, cell_order(cell.cell))):
        yield _difference(found, cell, confidence)


def _difference(found: PairedSystems, cell: PairedCell, confidence: float) -> Difference:
    counts, silence = cell.verdicts, cell.silence
    columns = found.question.slices[cell.slice - 1] if cell.slice else ()
    some = counts.pairs > 0
    ends = paired_difference(counts, confidence=confidence)[1:] if some else (0.0, 0.0)
    in_family = some and (not cell.slice or counts.pairs >= FEWEST_PAIRS)
    return Difference(
        system_a=found.pairing.system_a,
        system_b=found.pairing.system_b,
        indicator=cell.indicator,
        slice=cell_values(cell.cell, columns),
        units=cell.units,
        pairs=counts.pairs,
        worse=counts.worse,
        better=counts.better,
        both=counts.both,
        neither=counts.neither,
        rate_a=(counts.both + counts.better) / counts.pairs if some else None,
        rate_b=(counts.both + counts.worse) / counts.pairs if some else None,
        difference=(counts.worse - counts.better) / counts.pairs if some else None,
        low=round(ends[0], _DIGITS) if some else None,
        high=round(ends[1], _DIGITS) if some else None,
        p_value=no_difference(counts),
        p_holm=1.0 if in_family else None,
        test="mcnemar" if counts.sums is None else "clusters",
        clusters=counts.sums.clusters if counts.sums is not None else None,
        answered_a=1 - (silence.both + silence.better) / cell.units if cell.units else None,
        answered_b=1 - (silence.both + silence.worse) / cell.units if cell.units else None,
    )


def _adjusted(differences: Sequence[Difference]) -> list[Difference]:
    family = [at for at, entry in enumerate(differences) if entry.p_holm is not None]
    adjusted = list(differences)
    for at, p_holm in zip(family, holm([differences[at].p_value for at in family]), strict=True):
        adjusted[at] = replace(differences[at], p_holm=p_holm)
    return adjusted


def _pairing(a: Side, b: Side, pairs: Pairs, cells: Sequence[PairedCell]) -> Pairing:
    overall = [cell for cell in cells if not cell.slice]
    return Pairing(
        system_a=a.name,
        system_b=b.name,
        units_a=pairs.units_a,
        units_b=pairs.units_b,
        paired=pairs.count,
        only_a=pairs.only_a,
        only_b=pairs.only_b,
        without_key_a=pairs.without_key_a,
        without_key_b=pairs.without_key_b,
        cluster={None: None, "": "draws"}.get(pairs.question.cluster, pairs.question.cluster),
        small_cells=sum(cell.slice > 0 and cell.verdicts.pairs < FEWEST_PAIRS for cell in cells),
        cells_left_out=cells_left_out(pairs),
        crossed=tuple(
            Crossing(cell.indicator, outcome_a.label, outcome_b.label, units)
            for cell in overall
            for (outcome_a, outcome_b), units in sorted(cell.crossed.items())
        ),
    )


def _notes(a: Side, b: Side, found: Sequence[PairedSystems], by: str) -> Iterator[str]:
    for each in found:
        pairing = each.pairing
        if pairing.only_a or pairing.only_b:
            yield (
                f"{pairing.system_a} and {pairing.system_b}: {pairing.paired:,} units have a partner by {by}; "
                f"{pairing.only_a:,} are in A alone and {pairing.only_b:,} in B alone, and are left out"
            )
        if pairing.cells_left_out:
            yield f"{pairing.cells_left_out:,} slice cells beyond the {MAX_CELLS:,} largest of their slice are left out"
    theirs = {indicator.name: indicator for indicator in b.record.indicators}
    for mine in a.record.indicators:
        if mine.name not in theirs:
            yield f"indicator {mine.name} is in A alone and is left out"
        elif other := other_than(mine, theirs[mine.name]):
            yield f"indicator {mine.name} has {other} in B: the difference is not the systems' alone"
    for name in sorted(set(theirs) - {indicator.name for indicator in a.record.indicators}):
        yield f"indicator {name} is in B alone and is left out"
    if a.record.corpus.cluster != b.record.corpus.cluster:
        yield f"clusters are those of A ({a.record.corpus.cluster}); B has {b.record.corpus.cluster}"


def other_than(mine: IndicatorRecord, theirs: IndicatorRecord) -> str:
    """What of the other run's indicator keeps its numbers from being compared; empty where nothing does."""
    if mine == theirs:
        return ""
    is_other = (mine.kind, mine.semantics_version) != (theirs.kind, theirs.semantics_version)
    return f"another definition ({theirs.kind}, version {theirs.semantics_version})" if is_other else "other options"


def _nothing_in_common(a: Side, b: Side, pairs: Pairs) -> str:
    return (
        f"systems {a.name!r} ({pairs.units_a:,} units) and {b.name!r} ({pairs.units_b:,} units) have none in common by "
        f"{pairs.question.by}; pair by what they share: --by id, or --by COLUMN"
    )


def _names(side: Side) -> str:
    return ", ".join(indicator.name for indicator in side.record.indicators) or "none"


def _corpus(side: Side) -> str:
    files = side.record.corpus.files
    rows = sum(file.rows for file in files)
    selected = ", ".join(f"{key} {value}" for key, value in sorted(side.record.corpus.selection.items()) if key != "id")
    return f"{rows:,} rows in {len(files)} file{'s' * (len(files) != 1)}{', ' + selected if selected else ''}"
