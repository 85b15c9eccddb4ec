"""Evaluate a spec, look at a run, rebuild its report: engine and reports put together.

The command line and the Python face call this room; it prints nothing.
"""

from halluc_ray.evaluation.looking import find_samples, rebuild_report, status
from halluc_ray.evaluation.planning import Planned, StagePlan, prepare
from halluc_ray.evaluation.running import evaluate
from halluc_ray.evaluation.runs import Evaluation

__all__ = [
    "Evaluation",
    "Planned",
    "StagePlan",
    "evaluate",
    "find_samples",
    "prepare",
    "rebuild_report",
    "status",
]
