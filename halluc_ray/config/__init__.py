"""The run spec: its shape, reading it from YAML, digests. No other I/O."""

from halluc_ray.config.digest import canonical_json, digest
from halluc_ray.config.spec import (
    CausalSystem,
    ClassifierSystem,
    Columns,
    Corpus,
    Decoding,
    Engine,
    IndicatorSpec,
    RecordedSystem,
    RunSpec,
    Store,
    Summary,
    System,
)

__all__ = [
    "CausalSystem",
    "ClassifierSystem",
    "Columns",
    "Corpus",
    "Decoding",
    "Engine",
    "IndicatorSpec",
    "RecordedSystem",
    "RunSpec",
    "Store",
    "Summary",
    "System",
    "canonical_json",
    "digest",
]
