"""A bucket, or a prefix of one, as an object store.

Create-only puts are S3's conditional writes (`If-None-Match: *`); every put carries its SHA-256, which
the server checks and keeps. Credentials come from the environment or the machine, never from a spec.
Callers: `open_store`, `files`.
"""

from __future__ import annotations

import base64
import hashlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from halluc_ray.errors import ObjectChanged, ObjectMissing, SpecError, StoreError, StoreUnavailable
from halluc_ray.storage.s3_errors import code_of, explained, status_of
from halluc_ray.storage.store import ObjectInfo

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

T = TypeVar("T")

_CONTENT_TYPES = {".html": "text/html; charset=utf-8", ".json": "application/json", ".md": "text/markdown"}

_TIMEOUTS_AND_RETRIES: dict[str, Any] = {
    "connect_timeout": 5,
    "read_timeout": 30,
    "retries": {"mode": "standard", "total_max_attempts": 4},
    "max_pool_connections": 32,
    "tcp_keepalive": True,
    "signature_version": "s3v4",
    "request_checksum_calculation": "when_required",
}
_CONFLICT_TRIES = 8
_STREAM_TRIES = 3


class S3Store:
    """ObjectStore over S3 or a server that speaks it. Threads may share one; it pickles without its client."""

    def __init__(
        self, bucket: str, *, prefix: str = "", endpoint: str | None = None, region: str | None = None
    ) -> None:
        """Contacts nothing.

        Args:
            bucket: the bucket's name; it must exist.
            prefix: put before every key, with a slash between.
            endpoint: `http(s)://host:port` of an S3-compatible server; AWS where None.
            region: the bucket's region; from the environment where None.
        """
        self.bucket, self.endpoint, self.region = bucket, endpoint, region
        self._prefix = prefix.strip("/")
        self._open_state()

    def __repr__(self) -> str:
        return f"S3Store({self.uri!r}, endpoint={self.endpoint!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_lock", "_made")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._open_state()

    @property
    def uri(self) -> str:
        """`s3://bucket/prefix`."""
        return f"s3://{self.bucket}/{self._prefix}".rstrip("/")

    def read(self, key: str) -> bytes:
        """See ObjectStore."""
        return self._get(key)

    def read_range(self, key: str, *, offset: int, length: int, etag: str | None = None) -> bytes:
        """See ObjectStore."""
        if length <= 0:
            return b""
        conditions = {"Range": f"bytes={offset}-{offset + length - 1}"}
        if etag is not None:
            conditions["IfMatch"] = f'"{etag}"'
        try:
            return self._get(key, **conditions)
        except ClientError as error:
            if status_of(error) == 416:
                return b""
            if self.info(key) is None:  # some servers answer 412 for a missing key too
                raise ObjectMissing(f"{self.uri}/{key} is not there") from error
            raise ObjectChanged(
                f"{self.uri}/{key} changed while it was read: it is no longer version {etag}"
            ) from error

    def info(self, key: str) -> ObjectInfo | None:
        """See ObjectStore."""
        try:
            head = self._call("look at", key, lambda client, where: client.head_object(**where))
        except ObjectMissing:
            return None
        return ObjectInfo(key, head["ContentLength"], head["ETag"].strip('"'), head["LastModified"].timestamp())

    def stored_sha256(self, key: str, *, etag: str | None = None) -> str | None:
        """The SHA-256 of the whole object in hex, as the server keeps it; None where it keeps none.

        Raises ObjectMissing; ObjectChanged where `etag` is given and is no longer the object's.
        """
        head = self._call("look at", key, lambda client, where: client.head_object(**where, ChecksumMode="ENABLED"))
        if etag is not None and head["ETag"].strip('"') != etag:
            raise ObjectChanged(f"{self.uri}/{key} changed: it is no longer version {etag}")
        stored = head.get("ChecksumSHA256", "")
        if not stored or "-" in stored or head.get("ChecksumType", "FULL_OBJECT") != "FULL_OBJECT":
            return None
        return base64.b64decode(stored).hex()

    def put(self, key: str, data: bytes) -> ObjectInfo:
        """See ObjectStore."""
        answer = self._call(
            "write",
            key,
            lambda client, where: client.put_object(
                **where, Body=data, ChecksumSHA256=_sha256(data), ContentType=_content_type(key)
            ),
        )
        return ObjectInfo(key, len(data), answer["ETag"].strip('"'))

    def put_new(self, key: str, data: bytes) -> bool:
        """See ObjectStore. False may hide our own success: an earlier try whose answer was lost."""
        for attempt in range(_CONFLICT_TRIES):
            try:
                self._call(
                    "create",
                    key,
                    lambda client, where: client.put_object(
                        **where,
                        Body=data,
                        ChecksumSHA256=_sha256(data),
                        ContentType=_content_type(key),
                        IfNoneMatch="*",
                    ),
                    passing=(409, 412),
                )
            except ClientError as error:
                if status_of(error) == 412:
                    return False
                time.sleep(random.uniform(0, min(1.0, 0.05 * 2**attempt)))
            else:
                return True
        raise StoreUnavailable(
            f"can not create {self.uri}/{key}: {_CONFLICT_TRIES} times the server met a conflicting write (409); "
            "the same command goes on"
        )

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See ObjectStore."""
        root = f"{self._prefix}/" if self._prefix else ""
        found: list[ObjectInfo] = []
        try:
            for page in (
                self._client().get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=root + prefix)
            ):
                found += [
                    ObjectInfo(
                        entry["Key"][len(root) :],
                        entry["Size"],
                        entry["ETag"].strip('"'),
                        entry["LastModified"].timestamp(),
                    )
                    for entry in page.get("Contents", ())
                ]
        except (ClientError, BotoCoreError) as error:
            raise self._explained(error, doing="list", key=prefix) from error
        found.sort(key=lambda info: info.key.encode())  # servers differ where a key is a prefix of another
        yield from found

    def delete(self, key: str) -> None:
        """See ObjectStore."""
        self._call("delete", key, lambda client, where: client.delete_object(**where))

    def _get(self, key: str, **conditions: Any) -> bytes:
        for left in reversed(range(_STREAM_TRIES)):
            try:
                return self._call(
                    "read",
                    key,
                    lambda client, where: client.get_object(**where, **conditions)["Body"].read(),
                    passing=(412, 416) if conditions else (),
                )
            except StoreUnavailable:  # botocore retries requests, not a body that breaks off
                if not left:
                    raise
        raise AssertionError("unreachable")

    def _call(
        self, doing: str, key: str, request: Callable[[S3Client, dict[str, Any]], T], *, passing: tuple[int, ...] = ()
    ) -> T:
        """Make a request about one object; statuses in `passing` reach the caller as ClientError."""
        try:
            return request(self._client(), {"Bucket": self.bucket, "Key": self._object_key(key)})
        except ClientError as error:
            if status_of(error) in passing:
                raise
            raise self._explained(error, doing=doing, key=key) from error
        except BotoCoreError as error:
            raise self._explained(error, doing=doing, key=key) from error

    def _explained(self, error: ClientError | BotoCoreError, *, doing: str, key: str) -> StoreError:
        if isinstance(error, ClientError) and code_of(error) == "NoSuchBucket":
            return explained(error, where=f"s3://{self.bucket}", doing=doing, endpoint=self.endpoint)
        return explained(error, where=f"{self.uri}/{key}".rstrip("/"), doing=doing, endpoint=self.endpoint)

    def _object_key(self, key: str) -> str:
        if not key or any(piece in ("", ".", "..") for piece in key.split("/")):
            raise StoreError(f"{key!r} is no key of {self.uri}: keys are relative, with no empty, '.' or '..' piece")
        return f"{self._prefix}/{key}" if self._prefix else key

    def _open_state(self) -> None:
        self._lock = threading.Lock()
        self._made: S3Client | None = None

    def _client(self) -> S3Client:
        with self._lock:
            if self._made is None:
                self._made = self._make_client()
            return self._made

    def _make_client(self) -> S3Client:
        session = boto3.session.Session()
        region = self.region or session.region_name or ("us-east-1" if self.endpoint else None)
        config = Config(s3={"addressing_style": "path" if self.endpoint else "auto"}, **_TIMEOUTS_AND_RETRIES)
        try:
            client = session.client("s3", endpoint_url=self.endpoint, region_name=region, config=config)
        except ValueError as error:
            raise SpecError(
                f"store.endpoint {self.endpoint!r} is no address ({error}); write http://host:port"
            ) from error
        client.meta.events.register_last("before-call.s3.PutObject", _send_at_once)
        return client


@lru_cache(maxsize=32)
def shared_store(bucket: str, *, endpoint: str | None, region: str | None) -> S3Store:
    """One store per bucket and process, so that readers share connections."""
    return S3Store(bucket, endpoint=endpoint, region=region)


def _send_at_once(params: dict[str, Any], **_: Any) -> None:
    """Send small bodies without asking first: a round trip less, and a refused put need not wait a second."""
    params["headers"].pop("Expect", None)


def _content_type(key: str) -> str:
    """What a browser is told of an object: a page is shown, and not saved to disk."""
    return _CONTENT_TYPES.get(PurePosixPath(key).suffix, "application/octet-stream")


def _sha256(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()
