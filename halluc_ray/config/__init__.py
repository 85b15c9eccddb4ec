"""The run spec: its shape, reading it from YAML, digests. No other I/O."""

from halluc_ray.config.digest import canonical_json, digest
from halluc_ray.config.expression import Condition, parse_condition
from halluc_ray.config.load import load_spec, spec_digest, spec_from
from halluc_ray.config.prompting import Decoding, Reasoning, Shot, ShotChoice
from halluc_ray.config.spec import Columns, Corpus, Engine, IndicatorSpec, RunSpec, Store, Summary
from halluc_ray.config.systems import (
    CausalSystem,
    CheckpointSystem,
    ChoicesSystem,
    ClassifierSystem,
    DualEncoderSystem,
    EmbedderSystem,
    EndpointSystem,
    ImageTextSystem,
    PromptedSystem,
    RecordedSystem,
    Seq2SeqSystem,
    System,
)

__all__ = [
    "CausalSystem",
    "CheckpointSystem",
    "ChoicesSystem",
    "ClassifierSystem",
    "Columns",
    "Condition",
    "Corpus",
    "Decoding",
    "DualEncoderSystem",
    "EmbedderSystem",
    "EndpointSystem",
    "Engine",
    "ImageTextSystem",
    "IndicatorSpec",
    "PromptedSystem",
    "Reasoning",
    "RecordedSystem",
    "RunSpec",
    "Seq2SeqSystem",
    "Shot",
    "ShotChoice",
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
