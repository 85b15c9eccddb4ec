"""Bringing other people's data in: JSON, CSV, Arrow, hub and harness files become a Parquet corpus."""

from halluc_ray.corpora.importing.importing import ImportOptions, ImportResult, import_corpus
from halluc_ray.corpora.importing.looking import SourceLook, look_at

__all__ = ["ImportOptions", "ImportResult", "SourceLook", "import_corpus", "look_at"]
