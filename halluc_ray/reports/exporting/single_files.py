"""One file that appears whole, and replaces another only if that is said.

Knows places and stores; does not know what the file holds. Caller: `evaluation.exporting`.
"""

from __future__ import annotations

from typing import assert_never

from halluc_ray.errors import InputError, SpecError
from halluc_ray.storage.opening import open_store
from halluc_ray.storage.uris import LocalPlace, S3Place, parse_uri


def write_file(out: str, data: bytes, *, overwrite: bool) -> str:
    """Write the file; returns where it lies.

    Raises:
        InputError: OUT exists and may not be replaced, or is a folder.
        SpecError: OUT names no file.
        StoreError: OUT can't be written.
    """
    match parse_uri(out):
        case LocalPlace(path):
            if path.is_dir():
                raise InputError(f"{path} is a folder; name a file, such as {path / 'rates.csv'}")
            root, name = str(path.parent), path.name
        case S3Place(bucket, key):
            prefix, _, name = key.rpartition("/")
            root = f"s3://{bucket}/{prefix}".rstrip("/")
        case other:
            assert_never(other)
    if not name:
        raise SpecError(f"{out!r} is a bucket; name a file in it")
    store = open_store(root)
    if overwrite:
        store.put(name, data)
    elif not store.put_new(name, data):
        raise InputError(f"{store.uri}/{name} exists; choose another OUT, or say --overwrite to replace it")
    return f"{store.uri.rstrip('/')}/{name}"
