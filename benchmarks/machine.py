"""Describes the machine that a measurement ran on."""

from __future__ import annotations

import os
import platform
import resource
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

__all__ = ["describe", "peak_memory", "synchronise"]


def describe() -> dict[str, Any]:
    """Processor, cores, GPU and the relevant library versions."""
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "gpu": gpu,
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "transformers", "numpy", "pillow")},
    }


def peak_memory(device: str) -> float:
    """Peak memory of this process in GB: GPU memory on a CUDA device, else main memory."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device) / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def synchronise(device: str) -> None:
    """Wait until the GPU has finished its queued work."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
