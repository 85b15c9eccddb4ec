"""Bringing other people's data in: JSON, CSV, Arrow, hub and harness files become a Parquet corpus."""

from halluc_ray.corpora.importing.account import ImportOptions, ImportProgress, ImportResult
from halluc_ray.corpora.importing.importing import import_corpus
from halluc_ray.corpora.importing.looking import SourceLook, look_at

__all__ = ["ImportOptions", "ImportProgress", "ImportResult", "SourceLook", "import_corpus", "look_at"]
