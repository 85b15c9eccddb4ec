"""Where the checkpoints and adapters that a spec names lie, opened.

Knows the keys of a system's section and the spec's store; reads nothing. Callers: `systems` at the plan,
`generators` inside actors, `adapters`.
"""

from __future__ import annotations

from halluc_ray.config import CheckpointSystem, Store
from halluc_ray.models.checkpoint_sources import Source, open_source
from halluc_ray.storage import ObjectStore, open_store


def checkpoint_source(system: CheckpointSystem, store: Store) -> Source:
    """The system's checkpoint.

    Raises:
        SpecError, InputError: it is no place, or the hub does not have it.
    """
    where = f"systems[{system.name}]"
    return open_source(
        system.checkpoint, revision=system.revision, store=_bucket(system.checkpoint, store), where=where
    )


def adapter_source(system: CheckpointSystem, store: Store) -> Source | None:
    """The system's adapter; None where it has none, or its kind has no such key.

    Raises:
        SpecError, InputError: it is no place, or the hub does not have it.
    """
    uri: str | None = getattr(system, "adapter", None)
    if uri is None:
        return None
    return open_source(uri, store=_bucket(uri, store), where=f"systems[{system.name}]", key="adapter")


def _bucket(uri: str, store: Store) -> ObjectStore | None:
    """The store of an s3:// URI; None for a folder or a hub id."""
    return open_store(uri, endpoint=store.endpoint, region=store.region) if uri.startswith("s3://") else None
