"""From a URI to the store behind it: the one place that chooses between local and S3."""

from __future__ import annotations

from typing import assert_never

from halluc_ray.storage.local import LocalStore
from halluc_ray.storage.store import ObjectStore
from halluc_ray.storage.uris import LocalPlace, S3Place, parse_uri


def open_store(uri: str, *, endpoint: str | None = None, region: str | None = None) -> ObjectStore:
    """The store that a URI names; nothing is contacted yet.

    Args:
        uri: `./out`, `/data/out`, `file:///data/out` or `s3://bucket/prefix`.
        endpoint: address of an S3-compatible server; AWS where None.
        region: the bucket's region; from the environment where None.

    Raises:
        SpecError: the URI names no store that this version knows.
    """
    match parse_uri(uri):
        case LocalPlace(path):
            return LocalStore(path)
        case S3Place(bucket, prefix):
            from halluc_ray.storage.s3 import S3Store  # boto3 takes a while to load, and local runs never need it

            return S3Store(bucket, prefix=prefix, endpoint=endpoint, region=region)
        case other:
            assert_never(other)
