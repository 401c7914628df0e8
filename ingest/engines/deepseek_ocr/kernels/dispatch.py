"""Calls the Triton kernel of an operation where it was measured to be faster, else PyTorch."""

from __future__ import annotations

import logging
from importlib import util
from typing import Any

import torch
from torch import Tensor
from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS, grouped_mm_experts_forward

from ....core.config import KernelPolicy
from . import attention, relative, rotary, routing
from .attention import Qkv
from .tiles import UNMEASURED, Tiles, measured

__all__ = ["Kernels", "choose_kernels"]

_log = logging.getLogger(__name__)


class Kernels:
    """The operations that have a kernel; in plain PyTorch without measurements for the GPU."""

    def __init__(self, tiles: Tiles | None = None) -> None:
        self.tiles = tiles or Tiles()

    def attend(self, query: Tensor, cache: Tensor, positions: Tensor, span: int) -> Tensor:
        """See :func:`.attention.attend`."""
        if tiles := self.tiles.find("attend", query.shape[0]):
            from . import attention_triton

            return attention_triton.attend(query, cache, positions, tiles[0])
        return attention.attend(query, cache, positions, span)

    def rotate_and_store(
        self, qkv: Qkv, angles: tuple[Tensor, Tensor], positions: Tensor, cache: Tensor
    ) -> Tensor:
        """See :func:`.rotary.rotate_and_store`."""
        if tiles := self.tiles.find("rotate", positions.numel()):
            from . import rotary_triton

            return rotary_triton.rotate_and_store(qkv, angles, positions, cache, tiles[0])
        return rotary.rotate_and_store(qkv, angles, positions, cache)

    def route(self, hidden: Tensor, router: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
        """See :func:`.routing.route`."""
        if tiles := self.tiles.find("route", len(hidden)):
            from . import routing_triton

            return routing_triton.route(hidden, router, top_k, tiles[0])
        return routing.route(hidden, router, top_k)

    def experts(self, module: Any, hidden: Tensor, index: Tensor, weights: Tensor) -> Tensor:
        """See :func:`.experts_triton.experts`. The signature is that of transformers' interface.

        ``module`` has the weights ``gate_up_proj [experts, 2 * inner, dim]`` and ``down_proj``.
        """
        if tiles := self.tiles.find("experts", len(hidden)):
            from .experts_triton import experts

            up, down = tiles
            gate_up, back = module.gate_up_proj, module.down_proj
            return experts(hidden, gate_up, back, index, weights, (up, down))
        mixed: Tensor = grouped_mm_experts_forward(module, hidden, index, weights)
        return mixed

    def attend_relative(self, qkv: Qkv, rows: Tensor, columns: Tensor) -> Tensor:
        """See :func:`.relative.attend_relative`."""
        if tiles := self.tiles.find("relative", qkv.query.shape[2]):
            from . import relative_triton

            return relative_triton.attend_relative(qkv, rows, columns, tiles[0])
        return relative.attend_relative(qkv, rows, columns)

    def install(self, network: Any) -> None:
        """Register the experts kernel with transformers, if this GPU uses it at all."""
        if not self.tiles.has("experts"):
            return
        name = f"opticalrag-{id(self.tiles)}"  # one name per table: GPUs of a process may differ
        ALL_EXPERTS_FUNCTIONS.register(name, self.experts)
        network.set_experts_implementation({"text_config": name})


def choose_kernels(device: str, policy: KernelPolicy = "auto") -> Kernels:
    """Choose the kernels for a device; a CPU gets none.

    ``"auto"`` uses kernels measured on this GPU; ``"on"`` also uses kernels on GPUs without
    measurements; ``"off"`` uses none.
    """
    if policy == "off" or not device.startswith("cuda") or util.find_spec("triton") is None:
        return Kernels()
    gpu = torch.cuda.get_device_name(device)
    tiles = measured(gpu)
    if tiles is None and policy == "auto":
        _log.info("no kernel was measured on %s: using plain PyTorch", gpu)
    return Kernels(tiles or (UNMEASURED if policy == "on" else None))
