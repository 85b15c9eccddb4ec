"""Where a machine keeps what it need not compute twice. Knows the environment; touches no file.

Callers: `digest_cache`, copies of checkpoints (`models`).
"""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """HALLUC_RAY_CACHE, else ~/.cache/halluc_ray."""
    return Path(os.environ.get("HALLUC_RAY_CACHE") or "~/.cache/halluc_ray").expanduser()
