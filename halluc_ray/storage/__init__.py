"""Where runs live: object stores, the commit protocol, the corpus as files."""

from halluc_ray.storage.corpus_parquet import open_parquet
from halluc_ray.storage.digests import digests, file_digest
from halluc_ray.storage.files import CorpusFile, list_files, verify_unchanged
from halluc_ray.storage.opening import open_store
from halluc_ray.storage.store import ObjectInfo, ObjectStore

__all__ = [
    "CorpusFile",
    "ObjectInfo",
    "ObjectStore",
    "digests",
    "file_digest",
    "list_files",
    "open_parquet",
    "open_store",
    "verify_unchanged",
]
