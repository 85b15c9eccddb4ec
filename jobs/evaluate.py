"""`halluc-ray run` inside a Ray job.

    ray job submit --working-dir . -- python -m jobs.evaluate s3://bucket/specs/nightly.yaml

Workers on other nodes get the working directory alone: a local corpus, checkpoint or spec outside
it, and any local output, is refused.
"""

from __future__ import annotations

import sys

from halluc_ray.cli.job import evaluate_in_job

if __name__ == "__main__":
    sys.exit(evaluate_in_job(sys.argv[1:]))
