"""What a machine computes on: the kind of device, a CPU's instruction set and maker, a GPU's name.

Knows /proc/cpuinfo and torch's own rule; imports no torch. Callers: `numerics`, and whoever names a kind
of device.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Literal

Device = Literal["cpu", "cuda"]

_AVX512 = frozenset({"avx512vl", "avx512bw", "avx512dq", "fma"})
_AVX2 = frozenset({"avx2", "fma"})


def cpu_isa() -> str:
    """The instruction set that torch's kernels pick here: AVX512, AVX2 or DEFAULT; elsewhere the machine's name.

    Follows torch's own rule, the ATEN_CPU_CAPABILITY override included, without importing torch.
    """
    flags = set(_cpuinfo("flags").split())
    if not flags or platform.machine() not in ("x86_64", "AMD64"):
        return platform.machine()
    wished = os.environ.get("ATEN_CPU_CAPABILITY", "").lower()
    if wished in ("avx512", "avx2", "default"):
        return wished.upper()
    return "AVX512" if flags >= _AVX512 else "AVX2" if flags >= _AVX2 else "DEFAULT"


def cpu_vendor() -> str:
    """The CPU's maker, such as GenuineIntel: matrix libraries pick kernels by it too."""
    return _cpuinfo("vendor_id") or platform.machine()


def card_name(device_name: str, *, planned: str) -> str:
    """The planned name of a GPU where the device's own name holds it, else that.

    >>> card_name("NVIDIA A100-SXM4-80GB", planned="A100-80G"), card_name("Tesla T4", planned="H100")
    ('A100-80G', 'Tesla T4')
    """
    words = device_name.upper().replace("-", " ").split()
    return planned if planned.upper().split("-")[0] in words else device_name


def _cpuinfo(field: str) -> str:
    """First value of a field of /proc/cpuinfo; empty where there is none."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return ""
    for line in path.read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == field:
            return value.strip()
    return ""
