"""What a store must prove before a run starts: that it keeps the promises, and that every node sees it.

Knows the ObjectStore protocol only. Callers: the driver (checks), each node (nonces).
"""

from __future__ import annotations

import contextlib
import secrets
import socket

from halluc_ray.errors import ObjectChanged, ObjectMissing, StoreError
from halluc_ray.storage import keys
from halluc_ray.storage.store import ObjectStore

_FIRST, _SECOND = b"first bytes", b"second bytes"


def check_create_only(store: ObjectStore) -> None:
    """Put a probe twice: the second put must be refused and the first bytes must stand.

    Raises:
        StoreError: the store would let two attempts commit the same shard.
    """
    key = keys.probe_key(secrets.token_hex(8))
    created = store.put_new(key, _FIRST)
    created_again = store.put_new(key, _SECOND)
    honoured = created and not created_again and store.read(key) == _FIRST
    store.delete(key)
    if not honoured:
        raise StoreError(
            f"{store.uri}: this store ignores If-None-Match, so two attempts could commit one shard; "
            "use one with conditional writes (AWS S3, and what docs/storage.md lists) or a local folder"
        )


def check_ranges(store: ObjectStore) -> None:
    """Read a probe by range, and under the ETag of bytes that were replaced.

    Raises:
        StoreError: ranges come back wrong, or a changed object would be read as if it had not changed.
    """
    key = keys.probe_key(secrets.token_hex(8))
    try:
        old = store.put(key, _FIRST)
        middle = store.read_range(key, offset=3, length=4, etag=old.etag)
        if middle != _FIRST[3:7]:
            raise StoreError(
                f"{store.uri}: bytes 3 to 6 of {_FIRST!r} came back as {middle!r}; ranges do not work here"
            )
        store.put(key, _SECOND)
        with contextlib.suppress(ObjectChanged):
            store.read_range(key, offset=3, length=4, etag=old.etag)
            raise StoreError(f"{store.uri}: this store ignores If-Match, so a change under a run would go unseen")
    finally:
        store.delete(key)


def leave_nonce(store: ObjectStore) -> str:
    """Write a nonce for the nodes to find; returns it. `forget_nonce` removes it."""
    nonce = secrets.token_hex(8)
    store.put(keys.probe_key(nonce), nonce.encode())
    return nonce


def see_nonce(store: ObjectStore, nonce: str) -> None:
    """Prove, on this node, that it sees the store in which the nonce was left.

    Raises:
        StoreError: another folder has the same path here, or the store can't be reached.
    """
    try:
        found = store.read(keys.probe_key(nonce))
    except ObjectMissing as error:
        raise StoreError(
            f"node {socket.gethostname()} does not see in {store.uri} what the driver wrote there; "
            "mount the same folder on every node, or use s3://"
        ) from error
    if found != nonce.encode():
        raise StoreError(f"node {socket.gethostname()} reads other bytes in {store.uri} than the driver wrote there")


def forget_nonce(store: ObjectStore, nonce: str) -> None:
    """Remove a nonce that was left; where the store won't have it, it stays, and harms nobody."""
    with contextlib.suppress(StoreError):
        store.delete(keys.probe_key(nonce))
