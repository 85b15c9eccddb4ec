"""GPU memory of this process: no answer without a GPU, torch loaded or not; the most of it with one."""

import subprocess
import sys

import pytest
import torch

from halluc_ray.models.memory import peak_gpu_bytes


def test_without_a_gpu_there_is_no_answer():
    code = "import sys; from halluc_ray.models.memory import peak_gpu_bytes as p; print(p(), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["None", "False"]
    if not torch.cuda.is_available():
        assert peak_gpu_bytes() is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_the_peak_stays_after_the_memory_is_given_back():
    held = torch.zeros(1 << 20, device="cuda")
    del held
    assert (peak_gpu_bytes() or 0) >= 4 << 20
