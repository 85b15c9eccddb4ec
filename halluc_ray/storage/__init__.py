"""Where runs live: object stores, the commit protocol, the corpus as files."""

from halluc_ray.storage.opening import open_store
from halluc_ray.storage.store import ObjectInfo, ObjectStore

__all__ = ["ObjectInfo", "ObjectStore", "open_store"]
