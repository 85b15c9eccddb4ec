"""From outcomes to counts: group units by system and slice cell, and add up.

Pure on Arrow and NumPy. Knows no thresholds and no model. Called by shard runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from halluc_ray.engine.selection import hash_texts
from halluc_ray.errors import ConservationError
from halluc_ray.records import OUTCOMES, Outcome
from halluc_ray.records.counts import exact_integer_sums, exact_sums
from halluc_ray.records.schemas import COUNTS

NUM_BUCKETS = 256
_Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Cells:
    """Units grouped by system and the values of one slice's columns.

    Attributes:
        slice: position in the spec, from 1; 0 is all units.
        of_unit: each unit's cell.
        systems: each cell's system.
        names: each cell's values as a JSON list.
    """

    slice: int
    of_unit: _Integers
    systems: list[str]
    names: list[str]

    @property
    def size(self) -> int:
        """How many cells there are."""
        return len(self.names)


def group(slice_position: int, systems: pa.Array, columns: Sequence[pa.Array]) -> Cells:
    """Group units by system and slice columns.

    Args:
        slice_position: 0 for all units, else from 1.
        systems: system name per unit; "" where the stage holds one system.
        columns: the slice's columns, one value per unit.
    """
    code = np.zeros(len(systems), dtype=np.int64)
    for column in (systems, *columns):
        plain = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        plain = plain.cast(pa.string()) if pa.types.is_null(column.type) else plain
        encoded = pc.dictionary_encode(plain, null_encoding="encode")
        indices = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        code = np.unique(code * max(len(encoded.dictionary), 1) + indices, return_inverse=True)[1].reshape(-1)
    size = int(code.max()) + 1 if len(code) else 0
    first = np.full(size, -1, dtype=np.int64)
    first[code[::-1]] = np.arange(len(code) - 1, -1, -1)
    rows = pa.array(first)
    values = [column.take(rows).to_pylist() for column in columns]
    names = [json.dumps([_plain(v[k]) for v in values], ensure_ascii=False, separators=(",", ":")) for k in range(size)]
    return Cells(slice_position, code, systems.take(rows).to_pylist(), names)


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return value if value is None or isinstance(value, str | int | bool) else str(value)


class CountsBuilder:
    """Collects named integers and makes the sparse table of them; zeros are left out."""

    def __init__(self) -> None:
        self._rows: dict[str, list[object]] = {name: [] for name in COUNTS.names}

    def add(
        self, table: str, stat: str, value: int, *, slice_: int = 0, cell: str = "[]", system: str = "", item: int = 0
    ) -> None:
        """Add one named integer."""
        if value:
            for name, field in zip(COUNTS.names, (table, slice_, cell, system, item, stat, value), strict=True):
                self._rows[name].append(field)

    def add_cells(self, table: str, stat: str, values: _Integers, cells: Cells, *, item: int = 0) -> None:
        """Add one integer per cell."""
        for cell in np.flatnonzero(values):
            self.add(
                table,
                stat,
                int(values[cell]),
                slice_=cells.slice,
                cell=cells.names[cell],
                system=cells.systems[cell],
                item=item,
            )

    def build(self) -> pa.Table:
        """The counts."""
        return pa.table(self._rows, schema=COUNTS)


def count_outcomes(builder: CountsBuilder, cells: Cells, outcomes: Sequence[npt.NDArray[np.uint8]]) -> None:
    """Six outcomes per cell and indicator, beside a row count taken on its own.

    Raises:
        ConservationError: the six do not add up to the rows.
    """
    rows = np.bincount(cells.of_unit, minlength=cells.size)
    for item, codes in enumerate(outcomes):
        builder.add_cells("outcomes", "rows", rows, cells, item=item)
        held = np.zeros(cells.size, dtype=np.int64)
        for outcome in OUTCOMES:
            found = np.bincount(cells.of_unit[codes == outcome], minlength=cells.size)
            builder.add_cells("outcomes", outcome.label, found, cells, item=item)
            held += found
        if not np.array_equal(held, rows):
            broken = int(np.flatnonzero(held != rows)[0])
            raise ConservationError(
                f"indicator {item}, cell {cells.names[broken]}: outcomes add up to {held[broken]}, "
                f"there are {rows[broken]} rows; the indicator's `decide` gave a code outside 0-5"
            )


def count_reasons(
    builder: CountsBuilder,
    everything: Cells,
    outcomes: Sequence[npt.NDArray[np.uint8]],
    reasons: Sequence[pa.Array],
) -> None:
    """How often each (outcome, reason) was given, per system and indicator."""
    for item, (codes, why) in enumerate(zip(outcomes, reasons, strict=True)):
        encoded = why if pa.types.is_dictionary(why.type) else pc.dictionary_encode(why)
        names = encoded.dictionary.to_pylist()
        index = encoded.indices.fill_null(len(names)).to_numpy(zero_copy_only=False).astype(np.int64)
        width = len(names) + 1
        key = (everything.of_unit * len(OUTCOMES) + codes) * width + index
        for value, times in zip(*np.unique(key, return_counts=True), strict=True):
            cell, rest = divmod(int(value), len(OUTCOMES) * width)
            outcome, name = divmod(rest, width)
            label = json.dumps([Outcome(outcome).label, names[name] if name < len(names) else None], ensure_ascii=False)
            builder.add("reasons", "rows", int(times), cell=label, system=everything.systems[cell], item=item)


def count_clusters(
    builder: CountsBuilder, everything: Cells, outcomes: Sequence[npt.NDArray[np.uint8]], clusters: pa.Array
) -> None:
    """Defined and hallucinated units by hash of their cluster, for intervals that allow for dependence."""
    encoded = pc.dictionary_encode(clusters)
    bucket_of = (hash_texts(encoded.dictionary) % np.uint64(NUM_BUCKETS)).astype(np.int64)
    buckets = bucket_of[encoded.indices.to_numpy(zero_copy_only=False)] if len(clusters) else np.zeros(0, np.int64)
    key = everything.of_unit * NUM_BUCKETS + buckets
    for item, codes in enumerate(outcomes):
        for stat, chosen in (("defined", codes <= Outcome.SUPPORTED), ("hallucinated", codes == Outcome.HALLUCINATED)):
            for value, times in zip(*np.unique(key[chosen], return_counts=True), strict=True):
                cell, bucket = divmod(int(value), NUM_BUCKETS)
                system = everything.systems[cell]
                builder.add("clusters", stat, int(times), cell=f"[{bucket}]", system=system, item=item)


def count_summary(
    builder: CountsBuilder, cells: Cells, values: pa.Array, chosen: npt.NDArray[np.bool_], *, item: int
) -> None:
    """Rows and exact sum of a numeric column per cell; null and non-finite values are counted as skipped."""
    whole = pa.types.is_integer(values.type) or pa.types.is_boolean(values.type)
    exact = pa.uint64() if values.type == pa.uint64() else pa.int64()
    present = values.is_valid().to_numpy(zero_copy_only=False)
    numbers = values.cast(exact if whole else pa.float64(), safe=whole).fill_null(0).to_numpy(zero_copy_only=False)
    usable = chosen & present & np.isfinite(numbers)
    builder.add_cells("summaries", "rows", np.bincount(cells.of_unit[usable], minlength=cells.size), cells, item=item)
    skipped = np.bincount(cells.of_unit[chosen & ~usable], minlength=cells.size)
    builder.add_cells("summaries", "skipped", skipped, cells, item=item)
    sums = exact_integer_sums if whole else exact_sums
    for limb, totals in sums(numbers[usable], cells.of_unit[usable], num_groups=cells.size):
        builder.add_cells("summaries", f"limb_{limb}", totals, cells, item=item)


def count_units(builder: CountsBuilder, everything: Cells, generations: pa.Table, *, rebatched: bool = False) -> None:
    """Units, failures by reason, truncations, tokens and units of smaller batches than planned, per system."""
    size, of_unit = everything.size, everything.of_unit
    builder.add_cells("units", "rows", np.bincount(of_unit, minlength=size), everything)
    if rebatched:
        builder.add_cells("units", "rebatched", np.bincount(of_unit, minlength=size), everything)
    for stat in ("prompt_tokens", "output_tokens", "reasoning_tokens"):
        tokens = generations.column(f"num_{stat}").combine_chunks().fill_null(0).to_numpy(zero_copy_only=False)
        totals = np.zeros(size, dtype=np.int64)
        np.add.at(totals, of_unit, tokens.astype(np.int64))
        builder.add_cells("units", stat, totals, everything)
    cut = generations.column("truncated").combine_chunks().fill_null(False).to_numpy(zero_copy_only=False)
    builder.add_cells("units", "truncated", np.bincount(of_unit[cut], minlength=size), everything)
    for name, positions in _by_value(generations.column("failure").combine_chunks()):
        found = np.bincount(of_unit[positions], minlength=size)
        builder.add_cells("units", "failed", found, everything)
        for cell in np.flatnonzero(found):
            label = json.dumps([name], ensure_ascii=False)
            builder.add("failures", "rows", int(found[cell]), cell=label, system=everything.systems[cell])


def count_selection(builder: CountsBuilder, counts: Mapping[str, int]) -> None:
    """Corpus rows by fate."""
    for stat, value in counts.items():
        builder.add("selection", stat, value)


def _by_value(column: pa.Array) -> Iterator[tuple[str, _Integers]]:
    encoded = column if pa.types.is_dictionary(column.type) else pc.dictionary_encode(column)
    index = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    for position, name in enumerate(encoded.dictionary.to_pylist()):
        rows = np.flatnonzero(index == position)
        if len(rows):
            yield name, rows
