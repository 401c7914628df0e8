"""Estimates of the text on a page from its picture."""

from __future__ import annotations

import numpy as np
import pymupdf
import pytest
from numpy.typing import NDArray

from opticalrag.ingest.core.records import Box
from opticalrag.ingest.engines.quality.density import estimate_load, ink_share

SENTENCE = "The harbour master counted the ships that came in before the storm. "


def drawn(*columns: str, size: float = 10) -> NDArray[np.uint8]:
    """Draw a page with these columns of text at 144 dpi."""
    with pymupdf.open() as document:
        page = document.new_page(width=595, height=842)
        width = (595 - 100 - 24 * (len(columns) - 1)) / len(columns)
        for number, text in enumerate(columns):
            left = 50 + number * (width + 24)
            page.insert_textbox((left, 50, left + width, 792), text, fontsize=size)
        pixmap = page.get_pixmap(dpi=144, colorspace=pymupdf.csRGB)
    return np.frombuffer(pixmap.samples, np.uint8).reshape(pixmap.height, pixmap.width, 3)


@pytest.mark.parametrize("sentences", [3, 10, 40])
def test_the_guess_is_within_a_factor_of_two(sentences: int) -> None:
    """The sample sentence has 13 tokens in the model's vocabulary."""
    guess = estimate_load(drawn(SENTENCE * sentences)).text_tokens
    assert 13 * sentences / 2 < guess < 13 * sentences * 2


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_columns_are_counted(columns: int) -> None:
    """Gutters separate them."""
    assert estimate_load(drawn(*[SENTENCE * 20] * columns)).columns == columns


def test_white_on_black_is_read_like_black_on_white() -> None:
    """The colour of most of the page is the paper."""
    page = drawn(SENTENCE * 10)
    assert estimate_load(255 - page) == estimate_load(page)


def test_an_empty_page_holds_nothing() -> None:
    """It has neither ink nor text."""
    blank = np.full((400, 300, 3), 250, np.uint8)
    assert ink_share(blank) == 0
    assert estimate_load(blank).text_tokens == 0


def test_a_picture_is_not_text() -> None:
    """A dark block is taller than any line."""
    page = np.full((1000, 800, 3), 255, np.uint8)
    page[200:800, 100:700] = 0
    assert estimate_load(page).text_tokens == 0


def test_dust_on_a_page_is_not_text() -> None:
    """Rows of specks between two lines are not lines as wide as the page."""
    page = drawn(SENTENCE * 2, size=20).copy()
    clean = estimate_load(page).text_tokens
    page[np.random.default_rng(0).random(page.shape[:2]) < 0.003] = 60

    assert clean / 2 < estimate_load(page).text_tokens < 2 * clean


def test_regions_can_be_left_out() -> None:
    """Only the rest of the page counts."""
    page = drawn(SENTENCE * 20, SENTENCE * 20)
    whole = estimate_load(page).text_tokens

    assert estimate_load(page, [Box(0, 0, 0.5, 1)]).text_tokens == pytest.approx(whole / 2, rel=0.1)
    assert estimate_load(page, [Box(0, 0, 1, 1)]).text_tokens == 0


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 5000, 3), (5000, 1, 3), (3, 3, 3)])
def test_odd_shapes_raise_no_error(shape: tuple[int, int, int]) -> None:
    """Down to a single pixel."""
    page = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    assert estimate_load(page).text_tokens >= 0
