"""torch's errors, sorted by whose fault they are."""

import pytest
import torch

from halluc_ray.errors import OutOfMemory, WorkerLost
from halluc_ray.models.faults import device_faults


def test_memory_that_the_cpu_can_not_give():
    with pytest.raises(OutOfMemory, match="3 rows x 7 tokens"), device_faults(3, 7):
        torch.empty(2**55, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), OutOfMemory),
        (MemoryError(), OutOfMemory),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), OutOfMemory),
        (RuntimeError("CUDA error: device-side assert triggered"), WorkerLost),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), WorkerLost),
        (RuntimeError("The size of tensor a (3) must match"), RuntimeError),
        (IndexError("index out of range in self"), IndexError),
    ],
)
def test_messages_of_devices_that_are_not_here(error, kind):
    with pytest.raises(kind) as caught, device_faults(1, 1):
        raise error
    assert type(caught.value) is kind
