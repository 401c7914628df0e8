"""Which way a step is computed: by kernels where they are known to be faster, else by torch."""

from __future__ import annotations

import logging
from importlib import util
from typing import Any

import torch
from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS, grouped_mm_experts_forward

from ....core.config import KernelPolicy
from . import attention, relative, rotary, routing
from .relative import View
from .rotary import Heads
from .tiles import UNMEASURED, Tiles, measured

__all__ = ["Kernels", "choose_kernels"]

_log = logging.getLogger(__name__)


class Kernels:
    """The parts of the model that have kernels, with one face for both ways.

    Args:
        tiles: of the GPU; none means plain torch throughout.
    """

    def __init__(self, tiles: Tiles | None = None) -> None:
        self.tiles = tiles or Tiles()

    def attend(
        self,
        query: torch.Tensor,
        cache: torch.Tensor,
        positions: torch.Tensor,
        span: int,
    ) -> torch.Tensor:
        """See :func:`.attention.attend`."""
        if tiles := self.tiles.find("attend", query.shape[0]):
            from . import attention_triton

            return attention_triton.attend(query, cache, positions, tiles[0])
        return attention.attend(query, cache, positions, span)

    def rotate_and_store(
        self,
        heads: Heads,
        turns: tuple[torch.Tensor, torch.Tensor],
        positions: torch.Tensor,
        cache: torch.Tensor,
    ) -> torch.Tensor:
        """See :func:`.rotary.rotate_and_store`."""
        if tiles := self.tiles.find("rotate", positions.numel()):
            from . import rotary_triton

            return rotary_triton.rotate_and_store(heads, turns, positions, cache, tiles[0])
        return rotary.rotate_and_store(heads, turns, positions, cache)

    def route(
        self, hidden: torch.Tensor, router: torch.Tensor, chosen: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See :func:`.routing.route`."""
        if tiles := self.tiles.find("route", len(hidden)):
            from . import routing_triton

            return routing_triton.route(hidden, router, chosen, tiles[0])
        return routing.route(hidden, router, chosen)

    def experts(
        self, module: Any, hidden: torch.Tensor, index: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        """What the experts of a layer make of tokens: transformers' experts interface.

        Args:
            module: has ``gate_up_proj [experts, 2 * inner, dim]`` and ``down_proj``.
            hidden: ``[tokens, dim]``.
            index: int64, ``[tokens, chosen]``.
            weights: ``[tokens, chosen]``.

        Returns:
            ``[tokens, dim]``.
        """
        if tiles := self.tiles.find("experts", len(hidden)):
            from .experts_triton import experts

            up, down = tiles
            return experts(
                hidden, module.gate_up_proj, module.down_proj, index, weights, (up, down)
            )
        mixed: torch.Tensor = grouped_mm_experts_forward(module, hidden, index, weights)
        return mixed

    def attend_relative(
        self, view: View, rows: torch.Tensor, columns: torch.Tensor
    ) -> torch.Tensor:
        """See :func:`.relative.attend_relative`."""
        if tiles := self.tiles.find("relative", view.query.shape[2]):
            from . import relative_triton

            return relative_triton.attend_relative(view, rows, columns, tiles[0])
        return relative.attend_relative(view, rows, columns)

    def install(self, network: Any) -> None:
        """Let a model's own code use the experts' kernel, if it is used at all."""
        if not self.tiles.has("experts"):
            return
        name = f"opticalrag-{id(self.tiles)}"  # tables of different GPUs stay apart
        ALL_EXPERTS_FUNCTIONS.register(name, self.experts)
        network.set_experts_implementation({"text_config": name})


def choose_kernels(device: str, policy: KernelPolicy = "auto") -> Kernels:
    """Kernels for a device.

    Args:
        device: where the model runs; CPUs have none.
        policy: ``"auto"``: those measured on this GPU; ``"on"``: also on GPUs nobody has
            measured; ``"off"``: none.
    """
    if policy == "off" or not device.startswith("cuda") or util.find_spec("triton") is None:
        return Kernels()
    gpu = torch.cuda.get_device_name(device)
    tiles = measured(gpu)
    if tiles is None and policy == "auto":
        _log.info("no kernel was measured on %s: plain torch is used", gpu)
    return Kernels(tiles or (UNMEASURED if policy == "on" else None))
