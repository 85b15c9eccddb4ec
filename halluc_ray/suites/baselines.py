"""What tonight is held against: the last night, a named release, or a run that is held fixed.

Called by `nightly`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from halluc_ray.errors import InputError
from halluc_ray.storage import ObjectStore, keys
from halluc_ray.suites.nights import Night, NightBaseline, latest_before
from halluc_ray.suites.releases import read_release
from halluc_ray.suites.suite import ReleaseBaseline, RunBaseline, Suite, SuiteEntry


def find_baseline(
    store: ObjectStore, suite: Suite, entry: SuiteEntry, *, nights: Sequence[Night], date: str
) -> NightBaseline | None:
    """The run that an entry's night is held against; None where there is none yet.

    Args:
        store: of the suite.
        suite: the suite.
        entry: the spec.
        nights: the entry's history.
        date: of tonight.

    Raises:
        InputError: the run or the release that the suite names is not there.
    """
    match entry.baseline if entry.baseline is not None else suite.baseline:
        case None:
            return None
        case "latest":
            night = latest_before(nights, date=date)
            return None if night is None else NightBaseline(run_id=night.run_id, found_by=f"latest: {night.date}")
        case ReleaseBaseline(release=release):
            runs = read_release(store, suite=suite.name, release=release)
            if entry.name not in runs:
                raise InputError(f"release {release} of suite {suite.name} has no run of {entry.name}")
            return NightBaseline(run_id=runs[entry.name], found_by=f"release: {release}")
        case RunBaseline(run=run):
            if "/" in run or store.info(keys.run_key(run, "run.json")) is None:
                raise InputError(
                    f"suite {suite.name}, spec {entry.name}: baseline.run: {store.uri} has no run {run!r}; "
                    "write the id of a run under this output"
                )
            return NightBaseline(run_id=run, found_by="run")
        case other:
            assert_never(other)
