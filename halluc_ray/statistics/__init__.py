"""Intervals on arrays and counts; knows nothing of models, stores or reports."""

from halluc_ray.statistics.clusters import DesignEffect, design_effect
from halluc_ray.statistics.intervals import wilson

__all__ = ["DesignEffect", "design_effect", "wilson"]
