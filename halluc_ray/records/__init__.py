"""What flows through the house: plain records and Arrow schemas, no I/O."""

from halluc_ray.records.outcomes import OUTCOMES, Outcome
from halluc_ray.records.samples import Sample, Turn
from halluc_ray.records.stages import Commit, Shard, ShardSource, Stage, StageKind

__all__ = ["OUTCOMES", "Commit", "Outcome", "Sample", "Shard", "ShardSource", "Stage", "StageKind", "Turn"]
