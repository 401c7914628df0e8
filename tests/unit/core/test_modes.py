"""The cost of a page in each mode, and the choice of a mode."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opticalrag.ingest.core.errors import ConfigError
from opticalrag.ingest.core.modes import (
    MODES,
    TARGET_COMPRESSION,
    PageLoad,
    choose_mode,
    decoder_tokens,
    mode_named,
    other_mode,
    tile_grid,
    vision_tokens,
)

A4 = (1190, 1684)


@pytest.mark.parametrize(
    ("mode", "grid", "vision", "decoder"),
    [
        ("tiny", (1, 1), 64, 73),
        ("small", (1, 1), 100, 111),
        ("base", (1, 1), 256, 273),
        ("large", (1, 1), 400, 421),
        ("gundam", (1, 1), 256, 273),
        ("gundam", (2, 3), 856, 903),
        ("gundam", (3, 2), 856, 893),
    ],
)
def test_modes_cost_what_the_paper_says(
    mode: str, grid: tuple[int, int], vision: int, decoder: int
) -> None:
    """Vision tokens, and decoder tokens with newlines and separator."""
    assert vision_tokens(MODES[mode], grid) == vision
    assert decoder_tokens(MODES[mode], grid) == decoder


@given(st.integers(1, 9000), st.integers(1, 9000), st.sampled_from([0, 6, 9]))
def test_tile_grids_are_allowed_and_near_the_page(width: int, height: int, most: int) -> None:
    """Two tiles or more up to the limit; none if the page is small or tiles are off."""
    cols, rows = tile_grid(width, height, most)
    if most == 0 or (width <= 640 and height <= 640):
        assert (cols, rows) == (1, 1)
    else:
        assert 2 <= cols * rows <= most


@given(st.integers(0, 30_000), st.integers(1, 3), st.integers(64, 4000), st.integers(64, 4000))
def test_the_mode_chosen_is_the_cheapest_that_suffices(
    text: int, columns: int, width: int, height: int
) -> None:
    """At most ten text tokens per vision token, unless no mode reaches that."""

    def cost(name: str) -> int:
        mode = MODES[name]
        return vision_tokens(mode, tile_grid(width, height, mode.max_tiles, mode.tile_size))

    chosen = choose_mode(PageLoad(text, columns), width, height)
    enough = [n for n in MODES if text <= TARGET_COMPRESSION * cost(n)]
    if columns == 1:
        expected = min(map(cost, enough)) if enough else max(map(cost, MODES))
        assert cost(chosen.name) == expected
    else:
        assert chosen.name in enough or cost(chosen.name) == max(map(cost, MODES))


@pytest.mark.parametrize(
    ("tokens", "columns", "mode"),
    [
        (0, 1, "tiny"),
        (640, 1, "tiny"),
        (641, 1, "small"),
        (2000, 1, "base"),
        (4000, 1, "large"),
        (4001, 1, "gundam-6"),
        (90_000, 1, "gundam-6"),
        (1001, 2, "gundam-6"),
        (900, 2, "small"),
    ],
)
def test_an_a4_page_gets_the_mode_its_text_needs(tokens: int, columns: int, mode: str) -> None:
    """Dense columns are tiled at any ratio."""
    assert choose_mode(PageLoad(tokens, columns), *A4).name == mode


def test_the_other_mode_shows_the_page_differently() -> None:
    """A larger mode if there is one, otherwise a smaller one."""
    assert other_mode(MODES["base"], *A4) == MODES["gundam-6"]
    assert other_mode(MODES["gundam"], *A4) == MODES["large"]
    assert other_mode(MODES["base"], *A4, modes={"base": MODES["base"]}) is None


def test_an_unknown_mode_is_refused_with_the_known_ones() -> None:
    """The message lists the known modes."""
    with pytest.raises(ConfigError, match=r"'huge'.*auto, tiny, small, base, large, gundam"):
        mode_named("huge")
