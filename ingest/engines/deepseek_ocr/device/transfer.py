"""Copies between host and device that make neither wait for the other.

A copy from or to pageable host memory synchronizes host and device. A copy with pinned memory is
queued on the stream like any kernel.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Download", "on_device_of", "upload"]


def on_device_of(tensor: Tensor) -> AbstractContextManager[None]:
    """Make the tensor's GPU the current device; do nothing for a tensor on the CPU.

    PyTorch operations run on the device of their tensors. Triton kernels, CUDA graphs, streams,
    events and pinned memory use the current device, which is GPU 0 in every new thread.
    """
    device: AbstractContextManager[None] = torch.cuda.device_of(tensor)  # type: ignore[no-untyped-call]
    return device


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a host tensor to the device. Work queued afterwards sees the copied values."""
    if device.type != "cuda":
        return tensor.to(device)
    # PyTorch's caching host allocator keeps the pinned buffer until the copy is done.
    return tensor.pin_memory().to(device, non_blocking=True)


@dataclass(frozen=True, slots=True)
class Download:
    """A copy from the device to the host that may still be running.

    The device tensor may be overwritten at once: the copy is queued before any later write.
    """

    values: Tensor
    done: torch.cuda.Event | None

    @classmethod
    def of(cls, values: Tensor) -> Download:
        """Queue the copy of ``values``, ``[rows, columns]``."""
        if not values.is_cuda:
            return cls(values, None)
        copy = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
        copy.copy_(values, non_blocking=True)
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        # The stream of the tensor's device, which may not be the current device.
        event.record(torch.cuda.current_stream(values.device))
        return cls(copy, event)

    def read(self) -> list[list[int]]:
        """Wait for the copy and return its rows."""
        if self.done is not None:
            self.done.synchronize()
        rows: list[list[int]] = self.values.tolist()
        return rows
