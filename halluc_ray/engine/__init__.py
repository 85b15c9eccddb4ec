"""Plan, run and finish an evaluation: the incremental build.

Ray is named in `worker`, `placement`, `telemetry` and `driver` only; the rest runs anywhere.
"""
