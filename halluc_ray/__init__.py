"""How often a fine-tuned language model states what is not so.

`evaluate(spec)` runs an evaluation on Ray and returns its report; `compare(a, b)` says what changed between
two of them; `score(table, indicators)` judges recorded answers in memory, without Ray. Nothing heavy is
imported before it is used.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from halluc_ray.evaluation.notebook import compare, evaluate, score

__all__ = ["compare", "evaluate", "score"]

logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> object:
    if name in __all__:
        from halluc_ray.evaluation import notebook

        return getattr(notebook, name)
    raise AttributeError(f"module 'halluc_ray' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
