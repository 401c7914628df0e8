"""Tells without torch whether this machine may have a CUDA GPU."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["has_cuda_driver"]


def has_cuda_driver() -> bool:
    """Whether CUDA's driver is installed. Without it there is no GPU; with it, ask torch.

    Importing torch to ask takes seconds. The driver is loaded but not initialized, because
    processes that are forked after that cannot use CUDA.
    """
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True
