"""Named releases: the runs of a night, under a name that later nights can be held against.

Create-only, as history is. Called by the command line and by `baselines`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, ValidationError

from halluc_ray.config import canonical_json
from halluc_ray.errors import InputError, ObjectMissing, SpecError, StoreError
from halluc_ray.storage import ObjectStore, keys
from halluc_ray.suites.nights import read_nights
from halluc_ray.suites.suite import KEY_NAME


class _Release(BaseModel):
    """What a name stands for."""

    model_config = ConfigDict(frozen=True, strict=True)

    date: str
    runs: Mapping[str, str]


def name_release(store: ObjectStore, *, suite: str, release: str, date: str) -> dict[str, str]:
    """Give a night's runs a name.

    Returns:
        Entry of the suite -> run id.

    Raises:
        InputError: there is no night on that date, or it has two runs of one spec.
        SpecError: the name stands for other runs, or can't be part of a key.
    """
    if not re.fullmatch(KEY_NAME, release):
        raise SpecError(
            f"{release!r} can't name a release; letters, digits, '_', '.' and '-' do, 60 at most, such as v1.2"
        )
    runs: dict[str, str] = {}
    nights = read_nights(store, suite)
    for night in nights:
        if night.date != date:
            continue
        if night.spec in runs:
            raise InputError(
                f"suite {suite} has two runs of {night.spec} on {date}: {runs[night.spec]} and {night.run_id}; "
                "name the one as a baseline by its run id"
            )
        runs[night.spec] = night.run_id
    if not runs:
        there = ", ".join(sorted({night.date for night in nights})[-3:]) or "none"
        raise InputError(f"suite {suite} has no night on {date} in {store.uri}; the last ones: {there}")
    key = keys.release_key(suite, release)
    if not store.put_new(key, canonical_json({"date": date, "runs": runs}).encode()):
        standing = _read(store, key)
        if standing.runs != runs:
            raise SpecError(f"release {release} of suite {suite} is the night of {standing.date}; choose a new name")
    return runs


def read_release(store: ObjectStore, *, suite: str, release: str) -> dict[str, str]:
    """Entry of the suite -> run id.

    Raises:
        InputError: there is no such release.
        StoreError: what lies there is none.
    """
    try:
        return dict(_read(store, keys.release_key(suite, release)).runs)
    except ObjectMissing:
        prefix = keys.release_key(suite, "").removesuffix(".json")
        there = [info.key.removeprefix(prefix).removesuffix(".json") for info in store.list(prefix)]
        known = f"; there is {', '.join(there)}" if there else "; name one with `halluc-ray release`"
        raise InputError(f"suite {suite} has no release {release!r} in {store.uri}{known}") from None


def release_dates(store: ObjectStore, suite: str) -> dict[str, str]:
    """Release of a suite -> the date of its night.

    Raises:
        StoreError: an object there is no release.
    """
    prefix = keys.release_key(suite, "").removesuffix(".json")
    found = [info.key for info in store.list(prefix)]
    return {key.removeprefix(prefix).removesuffix(".json"): _read(store, key).date for key in found}


def _read(store: ObjectStore, key: str) -> _Release:
    try:
        return _Release.model_validate_json(store.read(key))
    except ValidationError as error:
        raise StoreError(
            f"{store.uri}/{key} is no release that this version reads ({error.error_count()} problems); move it away, "
            "and name the night again with `halluc-ray release`"
        ) from None
