"""Decoder input of a page: the tokens of its tiles, then of the global view, then a separator.

Each line of tokens ends with the newline embedding. Newline and separator are weights of the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....core.vision import VisionTokens

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["lay_out_page", "to_tensor"]


def lay_out_page(tokens: VisionTokens, newline: Tensor, separator: Tensor) -> Tensor:
    """Arrange the vision tokens of one page as the decoder reads them.

    Shape: ``newline [dim]``, ``separator [dim]`` to ``[tokens.decoder_count, dim]``, with the
    dtype and device of ``newline``.
    """
    import torch

    side, dim = tokens.side, newline.shape[0]
    whole = _on_device(tokens.global_view, newline).reshape(side, side, dim)
    parts = [_lines(whole, newline), separator.to(newline).reshape(1, dim)]
    if len(tokens.tiles):
        (cols, rows), q = tokens.grid, tokens.tile_side
        tiles = _on_device(tokens.tiles, newline).reshape(rows, cols, q, q, dim)
        page = tiles.transpose(1, 2).reshape(rows * q, cols * q, dim)
        parts.insert(0, _lines(page, newline))
    return torch.cat(parts)


def to_tensor(array: NDArray[np.float32] | NDArray[np.uint16]) -> Tensor:
    """Convert an array to a tensor of the same shape; uint16 holds the bits of bfloat16."""
    import numpy as np
    import torch

    plain = torch.from_numpy(np.array(array))  # a copy, because stored arrays are often read-only
    return plain.view(torch.bfloat16) if array.dtype == np.uint16 else plain


def _on_device(array: NDArray[np.float32] | NDArray[np.uint16], like: Tensor) -> Tensor:
    from ..device.transfer import upload

    return upload(to_tensor(array), like.device).to(like.dtype)


def _lines(page: Tensor, newline: Tensor) -> Tensor:
    # [lines, columns, dim] -> [lines * (columns + 1), dim]
    import torch

    ends = newline.expand(page.shape[0], 1, page.shape[2])
    return torch.cat([page, ends], dim=1).reshape(-1, page.shape[2])
