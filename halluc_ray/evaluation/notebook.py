"""The Python face: evaluate a spec, or judge recorded answers that are in memory.

For notebooks and tests of one's own; `halluc_ray.evaluate`, `halluc_ray.compare` and
`halluc_ray.score` are these.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import ValidationError

from halluc_ray.config import IndicatorSpec, RunSpec, spec_from
from halluc_ray.config.problems import describe
from halluc_ray.engine.roles import ROLE_NEEDS, ColumnUse, Texts
from halluc_ray.engine.row_reader import role_texts
from halluc_ray.engine.units import RAW
from halluc_ray.errors import SpecError
from halluc_ray.evaluation.comparing import Target, read_side
from halluc_ray.evaluation.comparing import compare as compare_targets
from halluc_ray.evaluation.reading import read_spec
from halluc_ray.evaluation.running import OnProgress
from halluc_ray.evaluation.running import evaluate as run
from halluc_ray.evaluation.shown import Report
from halluc_ray.indicators.protocol import ScoringBatch
from halluc_ray.records import OUTCOMES, Outcome
from halluc_ray.reports.comparison import Comparison
from halluc_ray.wiring.indicators import wire_indicators

_RAY_ADDRESS = "RAY_ADDRESS"


def evaluate(
    spec: RunSpec | Mapping[str, Any] | str | Path,
    *,
    systems: Sequence[Mapping[str, Any] | str] | None = None,
    address: str | None = None,
    on_progress: OnProgress | None = None,
) -> Report:
    """Run what is missing of a spec and return its report.

    Args:
        spec: a spec, its content as a mapping, or the path or s3:// URI of its YAML.
        systems: to evaluate in place of the spec's: entries as in a spec, or names of those to keep.
        address: of a Ray cluster, such as `auto` or `ray://head:10001`; default: the one that RAY_ADDRESS
            names, else one in this process.
        on_progress: told how far it is, several times a second; `print` will do.

    Raises:
        HallucRayError: see `errors`.
    """
    if isinstance(spec, str | Path):
        spec = read_spec(str(spec))
    if not isinstance(spec, RunSpec):
        spec = spec_from(spec)
    if systems is not None:
        spec = with_systems(spec, systems)
    with _address(address):
        done = run(spec, on_progress=on_progress)
    return Report(done.result, done.run_uri)


def compare(
    a: Report | RunSpec | str | Path,
    b: Report | RunSpec | str | Path | None = None,
    *,
    systems: tuple[str, str] | None = None,
    by: str = "row",
) -> Comparison:
    """Compare two systems on the same samples.

    Args:
        a: a report, a run's URI, or a spec or its path.
        b: another; None compares two systems of `a`.
        systems: names in A and in B; by default each run's only system, or all of equal names.
        by: `row` where both read the same rows, else `id` or a corpus column.

    Raises:
        SpecError: they can't be paired; says why and what to do.
    """
    target_a, name_a = _side(a)
    target_b, name_b = (None, None) if b is None else _side(b)
    return compare_targets(target_a, target_b, systems=systems or (name_a, name_b), by=by)


def score(
    table: pa.Table | Any, indicators: Sequence[Mapping[str, Any]], *, columns: Mapping[str, str] | None = None
) -> pa.Table:
    """Judge recorded answers in memory, without Ray.

    Args:
        table: one row per answer; a pandas or polars DataFrame, or a list of dicts, will do.
        indicators: as in a spec: `{"kind": "answer_mismatch", "mode": "exact"}`.
        columns: role -> column; by default each role is the column of its name.

    Returns:
        The table with a column per indicator: the outcome's name.

    Raises:
        SpecError: an unknown indicator, option or column; or a name that the table has already.

    >>> rows = pa.table({"response": ["Paris.", "Lyon"], "reference": ["Paris", "Paris"]})
    >>> score(rows, [{"kind": "answer_mismatch"}])["answer_mismatch"].to_pylist()
    ['supported', 'hallucinated']
    """
    table = pa.Table.from_pylist(table) if isinstance(table, list) else pa.table(table)
    wired = wire_indicators([_entry(entry, position) for position, entry in enumerate(indicators)])
    _check_names(table, [each.name for each in wired])
    columns = columns or {role: role for role in ROLE_NEEDS if role in table.column_names}
    labels = pa.array([outcome.label for outcome in OUTCOMES])
    needed = frozenset[str]().union(*(each.indicator.columns for each in wired))
    found = {name: _column(table, name, columns) for name in sorted(needed)}
    response = found.get("response") or (_column(table, "response", columns) if "response" in columns else None)
    batch = ScoringBatch({name: texts.values for name, texts in found.items()})
    judged = table
    for each in wired:
        scores = each.indicator.score(batch)
        outcomes = np.array(each.indicator.decide(scores.score, scores.state))
        outcomes[_failed(each.indicator.columns, found, response)] = Outcome.FAILED
        judged = judged.append_column(each.name, labels.take(pa.array(outcomes)))
    return judged


def with_systems(spec: RunSpec, systems: Sequence[Mapping[str, Any] | str]) -> RunSpec:
    """The spec with other systems: entries, or names of its own.

    Raises:
        SpecError: a name that it does not have, or an entry that is none.
    """
    written = spec.model_dump(mode="json", exclude_unset=True)
    named = {entry["name"]: entry for entry in written["systems"] if entry.get("name")}
    unknown = [entry for entry in systems if isinstance(entry, str) and entry not in named]
    if unknown:
        raise SpecError(f"systems: the spec has no system called {unknown[0]!r}; it has {', '.join(named) or 'none'}")
    chosen = [named[entry] if isinstance(entry, str) else dict(entry) for entry in systems]
    return spec_from(written | {"systems": chosen})


def _side(named: Report | RunSpec | str | Path) -> tuple[Target, str | None]:
    if isinstance(named, Report):
        return named.uri, None
    return (named, None) if isinstance(named, RunSpec) else read_side(str(named))


@contextmanager
def _address(address: str | None) -> Iterator[None]:
    """RAY_ADDRESS for the time of a run."""
    before = os.environ.get(_RAY_ADDRESS)
    if address is not None:
        os.environ[_RAY_ADDRESS] = address
    try:
        yield
    finally:
        if address is not None:
            os.environ.pop(_RAY_ADDRESS)
            if before is not None:
                os.environ[_RAY_ADDRESS] = before


def _entry(entry: Mapping[str, Any], position: int) -> IndicatorSpec:
    try:
        return IndicatorSpec.model_validate(entry)
    except ValidationError as error:
        found, shape = error.errors(include_url=False), IndicatorSpec.model_json_schema()
        lines = describe(found, data=entry, schema=shape, places={})
        raise SpecError("\n".join(f"indicators[{position}].{line}" for line in lines)) from None


def _check_names(table: pa.Table, names: Sequence[str]) -> None:
    for position, name in enumerate(names):
        if name in table.column_names or name in names[:position]:
            raise SpecError(
                f"indicators[{position}]: there would be two columns called {name!r}; give the indicator a `name`"
            )


def _column(table: pa.Table, name: str, columns: Mapping[str, str]) -> Texts:
    column = name.removeprefix(RAW) if name.startswith(RAW) else columns.get(name)
    if column is None or column not in table.column_names:
        raise SpecError(
            f"an indicator reads {name!r}; the table has {', '.join(table.column_names)}: name it in `columns`"
        )
    values = table.column(column).combine_chunks()
    if name.startswith(RAW) or name == "label":
        return Texts(values, pa.array(np.zeros(len(values), dtype=bool)))
    ColumnUse(f"columns.{name}", column, ROLE_NEEDS[name]).check(table.schema, "the table")
    return role_texts(name, values)


def _failed(read: frozenset[str], found: Mapping[str, Texts], response: Texts | None) -> npt.NDArray[np.bool_]:
    """Rows that a run fails before any indicator: no response, or bytes that are no text in what is read."""
    bad = [found[name].undecodable for name in read] + ([response.values.is_null()] if response else [])
    return np.asarray(np.logical_or.reduce([each.to_numpy(zero_copy_only=False) for each in bad]), dtype=bool)
