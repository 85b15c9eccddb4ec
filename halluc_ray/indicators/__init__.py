"""Indicators: one published way to call an output a hallucination per file; texts in, scores out."""

from halluc_ray.indicators.protocol import Indicator, IndicatorOptions, Scores, ScoringBatch
from halluc_ray.indicators.registry import get, json_schema, kinds

__all__ = ["Indicator", "IndicatorOptions", "Scores", "ScoringBatch", "get", "json_schema", "kinds"]
