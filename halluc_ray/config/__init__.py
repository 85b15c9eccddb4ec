"""The run spec: its shape, reading it from YAML, digests. No other I/O."""

from halluc_ray.config.digest import canonical_json, digest
from halluc_ray.config.expression import Condition, parse_condition
from halluc_ray.config.load import load_spec, spec_digest, spec_from
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
    "Condition",
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
    "load_spec",
    "parse_condition",
    "spec_digest",
    "spec_from",
]
