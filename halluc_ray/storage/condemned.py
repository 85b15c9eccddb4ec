"""Notices of what garbage collection is about to free, so that a run can't start in between.

A collector puts a notice that names stages, runs and specs, looks once more at which runs there are,
frees what none of them needs, and takes the notice away. A run that starts first shows itself, then waits
until no notice names what it stands on, and then looks at what is committed. So the collector sees the run,
or the run sees the notice. Knows stores; not what is garbage. Called by `retention` and at a run's start.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress

from halluc_ray.config.digest import canonical_json
from halluc_ray.errors import ObjectMissing, StoreError
from halluc_ray.storage import keys
from halluc_ray.storage.store import ObjectStore

FREEING_S = 60.0
"""How long after its last look a collector may ask for deletions under one notice."""

PATIENCE_S = 300.0
"""How long a run heeds a notice: by then the last deletion, tried again as often as a store tries, is over."""

_PAUSE_S = 0.5


@contextmanager
def condemned(store: ObjectStore, names: Iterable[str]) -> Iterator[None]:
    """A notice that stands while its block runs, also where that fails; not where the process is killed.

    Args:
        store: which both sides see.
        names: of stages, runs and specs that are about to be freed.
    """
    key = keys.condemned_key(secrets.token_hex(8))
    store.put(key, canonical_json({"names": sorted(names)}).encode())
    try:
        yield
    finally:
        with suppress(StoreError):  # runs heed it for a while, and the next collector removes it
            store.delete(key)


def wait_until_free(
    store: ObjectStore,
    names: Collection[str],
    *,
    say: Callable[[str], None],
    pause: Callable[[float], None] = time.sleep,
) -> bool:
    """Return when no collector is about to free any of the names; at once where none is.

    Args:
        store: which both sides see.
        names: what the caller stands on. It must have shown itself in the store before.
        say: told what is waited for.
        pause: sleeps for some seconds.

    Returns:
        Whether it had to wait: what the caller wrote before may be gone.

    Raises:
        StoreError: a notice is damaged.
    """
    seen: dict[str, float] = {}
    waited = False
    while found := _naming(store, names):
        waited = True
        say(f"waiting: garbage collection frees {next(iter(found.values()))}")
        for key in found:
            if time.monotonic() - seen.setdefault(key, time.monotonic()) >= PATIENCE_S:
                store.delete(key)  # its collector is dead, or past the time in which it may free anything
        pause(_PAUSE_S)
    return waited


def forget_old(store: ObjectStore, *, now: float) -> None:
    """Remove the notices of collectors that were killed.

    Args:
        store: where they lie.
        now: Unix seconds by the store's clock.
    """
    for info in list(store.list(keys.condemned_key())):
        if info.modified is not None and now - info.modified > PATIENCE_S:
            store.delete(info.key)


def _naming(store: ObjectStore, names: Collection[str]) -> dict[str, str]:
    """Key of each notice that names one of the names -> the first such."""
    found: dict[str, str] = {}
    for info in store.list(keys.condemned_key()):
        try:
            told = json.loads(store.read(info.key))["names"]
            hits = [str(name) for name in told if name in names]
        except ObjectMissing:
            continue  # taken away since it was listed
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{store.uri}/{info.key} is no notice of garbage collection ({error}); delete it"
            ) from error
        if hits:
            found[info.key] = hits[0]
    return found
