"""Vision tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from opticalrag.ingest.core.errors import EngineError
from opticalrag.ingest.core.vision import VisionTokens, bfloat16_bits, float32_values


def tokens(**changes: Any) -> VisionTokens:
    """A tiled page, or one with these fields changed."""
    values: dict[str, Any] = {
        "global_view": np.zeros((16, 8), np.float32),
        "tiles": np.zeros((6, 4, 8), np.float32),
        "grid": (2, 3),
        "mode": "gundam",
        "dtype": "float32",
        "model": "m",
        "weights": "w",
        "preprocessing": "p",
    }
    return VisionTokens(**{**values, **changes})


def test_tokens_are_counted_with_and_without_constants() -> None:
    """The decoder also reads a newline per row of tokens and one separator."""
    page = tokens()
    assert (page.side, page.tile_side) == (4, 2)
    assert page.count == 16 + 6 * 4
    assert page.decoder_count == 4 * 5 + 1 + (3 * 2) * (2 * 2 + 1)
    assert tokens(tiles=np.zeros((0, 0, 8), np.float32), grid=(1, 1)).decoder_count == 21


def test_a_tile_is_a_page_of_its_own() -> None:
    """A tile is chosen by column and row; outside the grid there is none."""
    tiles = np.arange(6, dtype=np.float32)[:, None, None] * np.ones((1, 4, 8), np.float32)
    page = tokens(tiles=tiles)
    assert (page.tile(1, 2).global_view == 5).all()
    assert page.tile(1, 2).decoder_count == 2 * 3 + 1
    for column, row in ((2, 0), (0, 3), (-1, 0)):
        with pytest.raises(IndexError):
            page.tile(column, row)


@pytest.mark.parametrize(
    "changes",
    [
        {"grid": (1, 1)},
        {"grid": (3, 3)},
        {"grid": (0, 6)},
        {"dtype": "float16"},
        {"dtype": "bfloat16"},
        {"global_view": np.zeros((15, 8), np.float32)},
        {"global_view": np.zeros((16, 7), np.float32)},
        {"global_view": np.zeros((0, 8), np.float32)},
        {"tiles": np.zeros((6, 3, 8), np.float32)},
        {"tiles": np.zeros((6, 4, 8), np.float64)},
        {"tiles": np.zeros((6, 32), np.float32)},
    ],
)
def test_invalid_arrays_are_refused(changes: dict[str, Any]) -> None:
    """Wrong grid, number of tiles, shape or dtype."""
    with pytest.raises(EngineError, match="invalid vision tokens"):
        tokens(**changes)


@given(hnp.arrays(np.uint16, 20, elements=st.integers(0, 0x7F7F)))
def test_bfloat16_numbers_survive_float32(bits: np.ndarray) -> None:
    """Widening and rounding back is exact."""
    assert (bfloat16_bits(float32_values(bits)) == bits).all()


@settings(deadline=None)  # importing torch takes a second
@given(hnp.arrays(np.float32, 20, elements=st.floats(-1e6, 1e6, width=32)))
def test_rounding_to_bfloat16_is_to_the_nearest(values: np.ndarray) -> None:
    """The result is the same as torch's."""
    torch = pytest.importorskip("torch")

    expected = torch.from_numpy(values).to(torch.bfloat16).float().numpy()
    assert (float32_values(bfloat16_bits(values)) == expected).all()
