"""The last night of each spec with what its report says of every slice, and the same of its baseline.

Reads report.json of both; nothing is reduced or paired. Where a report is gone, what the history holds is left.
Called by `rendering`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from halluc_ray.errors import ObjectMissing, StoreError
from halluc_ray.reports.report import Rate
from halluc_ray.storage import ObjectStore, keys
from halluc_ray.suites.history import KeptReport
from halluc_ray.suites.nights import Night, NightRate
from halluc_ray.suites.order import VERDICTS, last_of_specs, verdict_of
from halluc_ray.suites.subjects import cell_key

Place = tuple[str, str, tuple[str, ...], str]
"""Of a rate in a report: system, indicator, columns of the slice, its cell as JSON."""


@dataclass(frozen=True, slots=True)
class LatestNight:
    """A spec's last night.

    Attributes:
        rates: of its report, all slices; empty where the report is gone.
        before: the baseline's, by place.
    """

    night: Night
    rates: tuple[Rate, ...]
    before: Mapping[Place, Rate]

    def change(self, rate: Rate) -> float | None:
        """A rate less the baseline's; None where there is none."""
        return _difference(rate, self.before.get(place_of(rate)))

    def before_over_all(self, system: str, indicator: str) -> Rate | None:
        """The baseline's rate over all rows."""
        return self.before.get((system, indicator, (), cell_key({})))

    def change_over_all(self, rate: NightRate) -> float | None:
        """A rate of the night's record less the baseline's; None where there is none."""
        return _difference(rate, self.before_over_all(rate.system, rate.indicator))


def _difference(now: Rate | NightRate, before: Rate | None) -> float | None:
    return None if before is None or before.rate is None or now.rate is None else now.rate - before.rate


def latest_nights(store: ObjectStore, nights: Sequence[Night]) -> list[LatestNight]:
    """Of each spec the last night, and of several on one date the one with the worst verdict.

    In the order in which a reader wants to know of them: the last date first, then the worst verdict.

    Raises:
        StoreError: a report can't be read.
    """
    latest = []
    for night in sorted(last_of_specs(nights).values(), key=_first_to_read):
        before = _rates(store, night.baseline.run_id) if night.baseline else ()
        latest.append(LatestNight(night, _rates(store, night.run_id), {place_of(rate): rate for rate in before}))
    return latest


def _first_to_read(night: Night) -> tuple[int, int, str]:
    day = int(night.date.replace("-", ""))
    return -day, -VERDICTS.index(verdict_of(night)), night.spec


def place_of(rate: Rate) -> Place:
    """Where a rate stands in its report."""
    return rate.system, rate.indicator, tuple(rate.slice), cell_key(rate.slice)


def _rates(store: ObjectStore, run_id: str) -> tuple[Rate, ...]:
    key = keys.run_key(run_id, "report.json")
    try:
        return KeptReport.model_validate_json(store.read(key)).rates
    except ObjectMissing:
        return ()
    except ValidationError as error:
        raise StoreError(
            f"{store.uri}/{key} is no report ({error.error_count()} problems); `halluc-ray report` makes it again"
        ) from None
