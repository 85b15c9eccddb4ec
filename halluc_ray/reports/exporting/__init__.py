"""A run for other tools: verdicts as a dataset, rates as a table, a model card, MLflow.

One file per form. Knows reports and committed parts; does not know how a run is found. Caller:
`evaluation.exporting`.
"""
