"""The training pages of the small model, and their correct answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.tiny.drawing import pixels
from benchmarks.tiny.held_out import held_out
from benchmarks.tiny.layout import COLUMN, ROW, SIDE, Sheet, lay_out
from benchmarks.tiny.lexicon import HELD_OUT
from benchmarks.tiny.marks import box_overlap, plain, precision, truth_boxes
from benchmarks.tiny.targets import free_ocr, glyphs, locate, markdown
from opticalrag.ingest.core.records import BlockKind
from opticalrag.ingest.engines.deepseek_ocr.grounding.transcript import read_grounding

seeds = st.integers(0, 2**32)
levels = st.integers(0, 3)


def page(seed: int, level: int) -> Sheet:
    return lay_out(np.random.default_rng(seed), level)


@given(seeds, levels)
def test_every_letter_stands_where_the_target_says(seed: int, level: int) -> None:
    sheet = page(seed, level)
    drawn = {(round(x, 6), round(y, 6)): char for char, x, y in glyphs(sheet)}
    target = free_ocr(sheet)
    read = [
        (char, drawn.get((round(x, 6), round(y, 6)), " "))
        for char, (x, y) in zip(target.text, target.points, strict=True)
        if not np.isnan(x) and not char.isspace()
    ]
    assert all(char == there for char, there in read)
    assert len(read) == len(drawn)


@settings(max_examples=20)
@given(seeds, levels)
def test_ink_is_in_the_cells_of_letters_only(seed: int, level: int) -> None:
    """Without figures, rules and dust, exactly the grid cells with a letter have ink."""
    sheet = page(seed, level)
    parts = tuple(part for part in sheet.parts if part.frame is None)
    image = pixels(Sheet(parts), np.random.default_rng(0))
    high, wide = int(ROW * 2), int(COLUMN * 2)
    inner = image[..., 0].reshape(7, high, 28, wide)[
        ..., 2:-2
    ]  # bold letters touch their neighbours
    cells = inner.min((1, 3)) < 100
    letters = np.zeros((7, 28), bool)
    for _, x, y in glyphs(Sheet(parts)):
        letters[int(y * SIDE / ROW), int(x * SIDE / COLUMN)] = True
    assert (cells <= letters).all()
    assert (letters & ~cells).sum() <= 0.02 * max(50, letters.sum())  # dots and commas are thin


@given(seeds)
def test_the_engine_reads_its_own_targets_back(seed: int) -> None:
    """The kinds and their order are equal, the boxes equal to a thousandth."""
    sheet = page(seed, 3)
    blocks = read_grounding(markdown(sheet).text).blocks
    assert box_overlap(markdown(sheet).text, truth_boxes(sheet)) > 0.95
    kinds = {"title": BlockKind.TITLE, "table": BlockKind.TABLE, "image": BlockKind.FIGURE}
    for kind, read in kinds.items():
        wanted = sum(part.kind == kind for part in sheet.parts)
        assert sum(block.kind is read for block in blocks) == wanted
    unmarked = free_ocr(sheet).text.replace("- ", "")  # list items lose their bullets
    assert precision(plain(markdown(sheet).text), unmarked) > 0.95


def test_a_phrase_is_located_in_its_line() -> None:
    line = page(3, 2).parts[0].lines[0]
    phrase, target = locate(line, slice(1, 3))
    (block,) = read_grounding(target.text).blocks
    start = line.text.index(phrase)
    assert block.box.x0 * SIDE == pytest.approx((line.column + start) * COLUMN, abs=0.3)
    assert block.box.y0 * SIDE == pytest.approx(line.row * ROW + 8, abs=0.3)


def test_held_out_words_are_in_evaluation_pages_only() -> None:
    trained = " ".join(free_ocr(page(seed, seed % 4)).text for seed in range(400)).lower()
    judged = " ".join(page.text for page in held_out(60)).lower()
    assert not HELD_OUT & set(trained.split())
    assert HELD_OUT & set(judged.split())


@pytest.mark.parametrize(
    ("read", "truth", "share"),
    [("abc", "abc", 1.0), ("", "abc", 0.0), ("abd", "abc", 2 / 3), ("ab  c\n", "ab c", 1.0),
     ("xabc", "abc", 3 / 4), ("", "", 1.0)],
)  # fmt: skip
def test_precision_is_one_minus_the_share_of_edits(read: str, truth: str, share: float) -> None:
    assert precision(read, truth) == pytest.approx(share)


@given(st.text("abc ", max_size=30), st.text("abc ", max_size=30))
def test_precision_is_symmetric_and_a_share(a: str, b: str) -> None:
    assert precision(a, b) == pytest.approx(precision(b, a))
    assert 0 <= precision(a, b) <= 1
