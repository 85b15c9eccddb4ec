"""From the outcomes of one shard to its part of counts: by slice, reason, cluster and summary.

Knows what the spec wants counted; `counting` knows how. Does not know how an outcome comes about, nor
stores. Called by shard runs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from halluc_ray.config import RunSpec, Summary
from halluc_ray.config.expression import parse_condition
from halluc_ray.engine import counting
from halluc_ray.engine.roles import to_texts
from halluc_ray.engine.selection import holds
from halluc_ray.engine.units import RAW, Units
from halluc_ray.records import OUTCOMES

COUNTS_PART = "counts"
"""Name of a count stage's second part."""

Outcomes = dict[tuple[str, int], tuple[int, ...]]
"""(system, indicator) -> units by outcome, in the order of `OUTCOMES`."""

_POSITIONS = {outcome.label: position for position, outcome in enumerate(OUTCOMES)}


class ShardCounts:
    """Counts the shards of one run."""

    def __init__(self, spec: RunSpec) -> None:
        self._spec = spec
        self._conditions = [parse_condition(s.where) if s.where else None for s in spec.summaries]

    @property
    def columns(self) -> set[str]:
        """Corpus columns that it reads."""
        spec = self._spec
        found = {column for entry in spec.slice_columns() for column in entry}
        found |= {spec.corpus.cluster} if spec.corpus.cluster else set()
        for summary, where in zip(spec.summaries, self._conditions, strict=True):
            found |= {summary.column} if summary.column is not None else set()
            found |= set(where.columns if where else ())
        return found

    def count(self, units: Units, outcomes: Sequence[npt.NDArray[np.uint8]], scores: Sequence[pa.Table]) -> pa.Table:
        """The shard's counts.

        Args:
            units: its units.
            outcomes: codes by indicator, aligned with the units.
            scores: score parts by indicator, aligned with the units.
        """
        spec, rows = self._spec, units.rows
        systems = units.generations.column("system").combine_chunks().dictionary_decode().fill_null("")
        builder = counting.CountsBuilder()
        everything = counting.group(0, systems, [])
        slices = [
            counting.group(k, systems, [units.column(RAW + name) for name in entry])
            for k, entry in enumerate(spec.slice_columns(), start=1)
        ]
        for cells in (everything, *slices):
            counting.count_outcomes(builder, cells, outcomes)
        counting.count_reasons(builder, everything, outcomes, [t.column("reason").combine_chunks() for t in scores])
        counting.count_units(builder, everything, units.generations, rebatched=units.rebatched)
        counting.count_selection(builder, rows.counts)
        if spec.corpus.cluster:
            counting.count_clusters(builder, everything, outcomes, _clusters(units, spec.corpus.cluster))
        elif len(units) > len(rows):  # draws of a row are no more independent than rows of a source
            counting.count_clusters(builder, everything, outcomes, units.per_unit(rows.ids))
        for item, (summary, where) in enumerate(zip(spec.summaries, self._conditions, strict=True)):
            chosen = np.ones(len(units), dtype=bool)
            if where:
                mask = holds(where, rows.table).fill_null(False)
                chosen = units.per_unit(mask).to_numpy(zero_copy_only=False)
            values = self._averaged(summary, units, scores)
            for cells in (everything, *slices):
                counting.count_summary(builder, cells, values, chosen, item=item)
        return builder.build()

    def _averaged(self, summary: Summary, units: Units, scores: Sequence[pa.Table]) -> pa.Array:
        """One number per unit, null where there is none."""
        if summary.column is not None:
            return units.column(RAW + summary.column)
        names = [indicator.name for indicator in self._spec.indicators]
        return scores[names.index(summary.score or "")].column("score").combine_chunks()


def outcomes_of(counts: pa.Table) -> Outcomes:
    """Outcomes of all units of a shard, from its part of counts, for whoever watches the run."""
    found: dict[tuple[str, int], list[int]] = {}
    of_units = (pc.field("table") == "outcomes") & (pc.field("slice") == 0) & (pc.field("stat") != "rows")
    overall = counts.filter(of_units)
    for row in overall.select(["system", "item", "stat", "value"]).to_pylist():
        entry = found.setdefault((row["system"], row["item"]), [0] * len(OUTCOMES))
        entry[_POSITIONS[row["stat"]]] += row["value"]
    return {key: tuple(entry) for key, entry in found.items()}


def _clusters(units: Units, column: str) -> pa.Array:
    texts = to_texts(units.column(RAW + column)).values
    return pc.coalesce(texts, units.per_unit(units.rows.ids))
