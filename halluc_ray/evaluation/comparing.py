"""Compare what two targets name: runs, specs, or systems of these.

Knows how a run is found and which systems of two runs belong together; the pairing is the reports'.
Callers: the command line, the gate, the Python face.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from halluc_ray.config import RunSpec
from halluc_ray.errors import SpecError
from halluc_ray.evaluation.looking import find_run
from halluc_ray.evaluation.reading import read_target
from halluc_ray.evaluation.runs import RunFolder
from halluc_ray.reports.comparing import FLIPS, compare_sides
from halluc_ray.reports.comparison import Comparison
from halluc_ray.reports.pairing import ROW
from halluc_ray.reports.reduce import reduce
from halluc_ray.reports.sides import Side, sides_of

Target = str | RunSpec | RunFolder
_RUN = re.compile("/runs/[^/#]+/?$")


def compare(
    a: Target,
    b: Target | None = None,
    *,
    systems: Sequence[str | None] = (None, None),
    by: str = ROW,
    flips: int = FLIPS,
) -> Comparison:
    """Compare two systems on the same samples.

    Args:
        a: a run's URI, or its spec.
        b: another; None compares two systems of `a`.
        systems: names in A and in B; by default each run's only system, or all of equal names.
        by: `row` where both read the same rows, else `id` or a corpus column.
        flips: to show of each indicator and direction.

    Raises:
        SpecError: they can't be paired; says why and what to do.
        RunIncomplete: shards are missing.
    """
    return compare_sides(paired_sides(a, b, systems=systems), by=by, flips=flips)


def paired_sides(
    a: Target, b: Target | None, *, systems: Sequence[str | None] = (None, None)
) -> list[tuple[Side, Side]]:
    """The systems to compare, two by two.

    Raises:
        SpecError: no such system, or none of equal names.
    """
    name_a, name_b = systems
    if b is None and (name_a is None or name_b is None):
        raise SpecError("one run alone: name the two of its systems to compare, --systems A B")
    left = systems_of(a)
    right = left if b is None else systems_of(b)
    if name_a is not None or name_b is not None:
        return [(_one_of(left, name_a), _one_of(right, name_b))]
    if len(left) == len(right) == 1:
        return [(left[0], right[0])]
    theirs = {side.name: side for side in right}
    both = [(side, theirs[side.name]) for side in left if side.name in theirs]
    if not both:
        raise SpecError(
            f"no system has the same name in both runs ({_listed(left)}; {_listed(right)}): name one of each, "
            "--systems A B"
        )
    return both


def read_side(text: str) -> tuple[Target, str | None]:
    """RUN or RUN#system, as a target and the system's name.

    Raises:
        SpecError: a spec that can't be read.
    """
    location, sign, system = text.rpartition("#")
    if sign and system and (_RUN.search(location) or Path(location).suffix in (".yaml", ".yml")):
        return read_target(location), system
    return read_target(text), None


def systems_of(target: Target) -> list[Side]:
    """Every system of a run, in the order of its report."""
    run = find_run(target)
    record = run.record()
    counts = reduce(run.store, record)
    return sides_of(run.store, record, run_id=run.run_id, counts=counts, sources=run.sources())


def _one_of(sides: Sequence[Side], name: str | None) -> Side:
    """The system of a name; where none is given, the only one."""
    found = [side for side in sides if name is None or side.name == name]
    if len(found) != 1:
        asked = "name one of the systems" if name is None else f"no system is called {name!r}"
        raise SpecError(f"{asked} of run {sides[0].run_id if sides else '(empty)'}: {_listed(sides)}")
    return found[0]


def _listed(sides: Sequence[Side], *, most: int = 12) -> str:
    more = f" and {len(sides) - most} more" if len(sides) > most else ""
    return ", ".join(side.name for side in sides[:most]) + more
