"""The survey of a page before the model reads it."""

from __future__ import annotations

import pymupdf
import pytest

from opticalrag.ingest.core.records import PageImage
from opticalrag.ingest.documents.pages import open_document
from opticalrag.ingest.engines.deepseek_ocr.attempts import DPI, LONG_SIDE, survey_page

TITLE = "Harbor report: two ships came in before the first winter storm"
LINE = "The pump was taken out in May because its copper seal had broken again."


def drawn(*lines: str) -> PageImage:
    """Draw an A4 page with these lines."""
    with pymupdf.open() as document:
        page = document.new_page()
        for number, line in enumerate(lines):
            page.insert_text((60, 80 + 18 * number), line)
        data = document.tobytes()
    with open_document(data, name="page.pdf") as opened:
        return opened.render(0, dpi=DPI, long_side=LONG_SIDE)


def by_letters(text: str) -> int:
    return -(-len(text) // 4)


def test_a_few_words_are_reliable_if_nothing_else_is_printed() -> None:
    """So the readings of title pages and slides are checked too."""
    survey = survey_page(drawn(TITLE), by_letters)
    assert survey.evidence.is_reliable
    assert survey.load.text_tokens == by_letters(TITLE)


@pytest.mark.parametrize("more", [3, 40])
def test_a_stamp_on_a_scan_is_not_reliable(more: int) -> None:
    page = drawn(TITLE, *[LINE] * more)
    stamped = PageImage(page.ref, page.pixels, page.width, page.height, page.words[:10])
    assert not survey_page(stamped, by_letters).evidence.is_reliable
    assert survey_page(page, by_letters).evidence.is_reliable
