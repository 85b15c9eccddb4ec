"""The commit protocol: one create-only marker per (stage, shard) decides which attempt counts.

Parts are written first, each at a key of its own (the attempt's random name is in it); then the
marker is put create-only. Whoever loses removes their parts. After any failure the marker in the
store is the truth. Knows stores and records; does not know what the parts hold.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping

from halluc_ray.config.digest import canonical_json
from halluc_ray.errors import ObjectMissing, StoreError
from halluc_ray.records import Commit, Stage
from halluc_ray.storage import keys
from halluc_ray.storage.store import ObjectStore


def declare(store: ObjectStore, stage: Stage) -> None:
    """Write the stage's `stage.json`, or check that the one there says the same.

    Raises:
        StoreError: the digest is taken by other content (never, short of a damaged store).
    """
    text = canonical_json({"kind": stage.kind, **stage.covers}).encode()
    key = keys.stage_key(stage.name)
    if not store.put_new(key, text) and store.read(key) != text:
        raise StoreError(
            f"{store.uri}/{key} does not hold what its digest covers; the store was altered: use another output"
        )


def committed(store: ObjectStore, stage: str) -> frozenset[str]:
    """Keys of the shards that the stage has committed, from one listing."""
    prefix = keys.commits_prefix(stage)
    return frozenset(info.key[len(prefix) :].removesuffix(".json") for info in store.list(prefix))


def is_committed(store: ObjectStore, stage: str, shard: str) -> bool:
    """Whether one shard of the stage is committed."""
    return store.info(keys.commit_key(stage, shard)) is not None


def new_attempt() -> str:
    """A name for one try to commit: random, so that no other try has it."""
    return secrets.token_hex(6)


def publish(
    store: ObjectStore,
    stage: str,
    shard: str,
    *,
    parts: Mapping[str, bytes],
    rows: int,
    notes: Mapping[str, int | str] | None = None,
    attempt: str | None = None,
) -> Commit:
    """Commit a shard, or learn who did.

    Args:
        store: where the stage lies.
        stage: the stage's name.
        shard: the shard's key.
        parts: part name -> Parquet bytes; the main part's name is empty.
        rows: units in the main part.
        notes: see `Commit.notes`.
        attempt: from `new_attempt`, for callers that log it; default: a fresh one.

    Returns:
        The commit that stands: ours, or that of the attempt that came first.

    Raises:
        StoreUnavailable: retryable; the shard may or may not be committed.
    """
    attempt = attempt or new_attempt()
    for name, data in parts.items():
        store.put(keys.part_key(stage, shard, attempt, name), data)
    ours = Commit(
        shard=shard,
        attempt=attempt,
        parts={name: hashlib.sha256(data).hexdigest() for name, data in parts.items()},
        rows=rows,
        notes=dict(notes or {}),
    )
    if store.put_new(keys.commit_key(stage, shard), _encode(ours)):
        return ours
    standing = read_commit(store, stage, shard)
    if standing.attempt != attempt:
        for name in parts:
            store.delete(keys.part_key(stage, shard, attempt, name))
    return standing


def read_commit(store: ObjectStore, stage: str, shard: str) -> Commit:
    """The marker of a committed shard. Raises ObjectMissing where there is none."""
    key = keys.commit_key(stage, shard)
    try:
        fields = json.loads(store.read(key))
        return Commit(
            shard=shard, attempt=fields["attempt"], parts=fields["parts"], rows=fields["rows"], notes=fields["notes"]
        )
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{store.uri}/{key} is no commit marker ({error}); delete it to compute the shard again"
        ) from error


def read_part(store: ObjectStore, stage: str, commit: Commit, part: str = "") -> bytes:
    """Bytes of a committed part, checked against the marker's digest.

    Raises:
        StoreError: the part is gone, or its bytes are not the ones that were committed.
    """
    key = keys.part_key(stage, commit.shard, commit.attempt, part)
    what_to_do = f"delete {store.uri}/{keys.commit_key(stage, commit.shard)} and run again to compute the shard anew"
    try:
        data = store.read(key)
    except ObjectMissing as error:
        raise StoreError(f"{store.uri}/{key} is committed, but gone; {what_to_do}") from error
    if hashlib.sha256(data).hexdigest() != commit.parts[part]:
        raise StoreError(f"{store.uri}/{key} is damaged: its sha256 is not the committed one; {what_to_do}")
    return data


def sweep(store: ObjectStore, stage: str) -> int:
    """Remove the parts of attempts that lost or died, for shards that are committed. Returns how many.

    Parts of shards without a commit are left alone: somebody may be about to commit them.
    """
    done = committed(store, stage)
    attempts: dict[str, dict[str, list[str]]] = {}
    prefix = keys.parts_prefix(stage)
    for info in store.list(prefix):
        shard, attempt = info.key[len(prefix) :].split(".")[:2]
        if shard in done:
            attempts.setdefault(shard, {}).setdefault(attempt, []).append(info.key)
    orphans = [
        key
        for shard, by_attempt in attempts.items()
        if len(by_attempt) > 1
        for attempt, found in by_attempt.items()
        if attempt != read_commit(store, stage, shard).attempt
        for key in found
    ]
    for key in orphans:
        store.delete(key)
    return len(orphans)


def _encode(commit: Commit) -> bytes:
    return canonical_json(
        {"attempt": commit.attempt, "parts": dict(commit.parts), "rows": commit.rows, "notes": dict(commit.notes)}
    ).encode()
