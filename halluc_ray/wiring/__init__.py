"""From the spec's words to stores, models and indicators: the one place that matches on kinds."""
