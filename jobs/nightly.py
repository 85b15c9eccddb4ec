"""`halluc-ray nightly` inside a Ray job.

    ray job submit --working-dir . -- python -m jobs.nightly s3://bucket/suites/qa.yaml --date 2026-11-24

Workers on other nodes get the working directory alone: local specs, corpora and checkpoints outside it,
and any local output, are refused.
"""

from __future__ import annotations

import sys

from halluc_ray.cli.job import nightly_in_job

if __name__ == "__main__":
    sys.exit(nightly_in_job(sys.argv[1:]))
