"""What goes between the host and the device, so that neither waits for the other.

Memory of the host that the system may move is copied while both stand still; pinned memory is
copied when the device comes to it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Download", "launching_on", "upload"]


def launching_on(tensor: Tensor) -> AbstractContextManager[None]:
    """Make the GPU of a tensor the current one; nothing where it is on a CPU.

    Torch's own operations go to where their tensors are. Triton's kernels, graphs, streams, events
    and pinned memory go to the current GPU: the first one, in every new thread again.
    """
    device: AbstractContextManager[None] = torch.cuda.device_of(tensor)  # type: ignore[no-untyped-call]
    return device


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the host on the device. What is done with it there comes behind the copy."""
    if device.type != "cuda":
        return tensor.to(device)
    # Torch keeps the pinned copy until it is read, and gives its memory to a later one.
    return tensor.pin_memory().to(device, non_blocking=True)


@dataclass(frozen=True, slots=True)
class Download:
    """A tensor of the device on its way to the host. It may be overwritten behind :meth:`of`."""

    values: Tensor
    done: torch.cuda.Event | None

    @classmethod
    def of(cls, values: Tensor) -> Download:
        """Begin it."""
        if not values.is_cuda:
            return cls(values, None)
        copy = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
        copy.copy_(values, non_blocking=True)
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        # Not that of the current device, which need not be the one this is on.
        event.record(torch.cuda.current_stream(values.device))
        return cls(copy, event)

    def read(self) -> list[list[int]]:
        """The values, when they are there. Shape: two axes."""
        if self.done is not None:
            self.done.synchronize()
        rows: list[list[int]] = self.values.tolist()
        return rows
