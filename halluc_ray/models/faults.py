"""Which errors of torch are whose fault: memory, a lost device, or a row.

Caller: the models, around every forward pass. Imports torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from halluc_ray.errors import OutOfMemory, WorkerLost

_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "cublas_status_alloc_failed")
_DEVICE_LOST = ("cuda error", "cublas_status", "cudnn_status", "device-side assert", "nccl error")


@contextmanager
def device_faults(num_rows: int, num_tokens: int) -> Iterator[None]:
    """Translate what torch raises inside the block.

    Args:
        num_rows: rows of the batch, for messages.
        num_tokens: padded width of the batch, for messages.

    Raises:
        OutOfMemory: the batch did not fit (retryable with a smaller budget).
        WorkerLost: the device's context is gone; every later call in this process would fail too.
    """
    size = f"a batch of {num_rows} rows x {num_tokens} tokens"
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise OutOfMemory(f"{size} did not fit on the device; lower engine.tokens_per_batch") from error
    except RuntimeError as error:
        text = str(error).lower()
        if any(sign in text for sign in _NO_MEMORY):
            raise OutOfMemory(f"{size} did not fit on the device; lower engine.tokens_per_batch") from error
        if isinstance(error, torch.AcceleratorError) or any(sign in text for sign in _DEVICE_LOST):
            raise WorkerLost(f"{size} lost the device ({error}); the actor must be started again") from error
        raise
