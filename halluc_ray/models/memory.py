"""How much GPU memory the models of this process have held at most.

Knows torch where it is loaded already, and loads nothing: a process without a model has no answer. A
backend that keeps its network in processes of its own is not seen. Called by the engine's meter.
"""

from __future__ import annotations

import sys


def peak_gpu_bytes() -> int | None:
    """Most bytes that torch has allocated at once, over the GPUs that the process sees; None where it uses none."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    return sum(int(torch.cuda.max_memory_allocated(device)) for device in range(torch.cuda.device_count()))
