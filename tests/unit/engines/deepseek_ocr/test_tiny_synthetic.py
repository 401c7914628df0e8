"""The small model of this repository on pages it has not seen: the optical path with real text."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.tiny.held_out import Page, held_out
from benchmarks.tiny.marks import box_overlap, plain, precision, truth_boxes
from benchmarks.tiny.schedule import TRAINED
from benchmarks.tiny.targets import locate
from opticalrag.ingest.core.config import OpticalConfig
from opticalrag.ingest.core.errors import ConfigError
from opticalrag.ingest.core.flags import Flag
from opticalrag.ingest.core.modes import Mode
from opticalrag.ingest.core.prompts import prompt_named
from opticalrag.ingest.core.records import BlockKind, ParsedPage
from opticalrag.ingest.core.vision import DecodeRequest
from opticalrag.ingest.documents.pages import open_document
from opticalrag.ingest.engines.deepseek_ocr.engine import DeepSeekOcrEngine
from opticalrag.ingest.engines.deepseek_ocr.grounding.transcript import read_grounding
from opticalrag.ingest.engines.deepseek_ocr.model import DeepSeekOcr
from opticalrag.ingest.engines.layout import LayoutEngine
from opticalrag.ingest.engines.quality.assessment import agreement

from ....conftest import CARDS, TINY_SYNTHETIC

PAGES = 6


@pytest.fixture(scope="module")
def pages() -> list[Page]:
    return list(held_out(PAGES))


def widest(model: DeepSeekOcr) -> Mode:
    return max(model.modes.values(), key=lambda mode: mode.base_size)


def ask(model: DeepSeekOcr, images: list[NDArray[np.uint8]], prompt: str) -> list[str]:
    tokens = model.encode(images, widest(model))
    answers = model.decode([DecodeRequest(one, prompt_named(prompt), 500) for one in tokens])
    return [answer.text for answer in answers]


def compare(read: list[str], truth: list[str]) -> tuple[float, str]:
    """Return the mean share of correct characters, and a report for a failing test."""
    shares = [precision(r, t) for r, t in zip(read, truth, strict=True)]
    pairs = zip(shares, read, truth, strict=True)
    worst = sorted(f"{share:.0%} right:\n{r}\n--- for:\n{t}" for share, r, t in pairs)
    mean = float(np.mean(shares))
    return mean, f"{mean:.0%} of the characters are right; " + "\n\n".join(worst)


def test_it_reads_pages_and_words_it_has_never_seen(
    reading_model: DeepSeekOcr, pages: list[Page]
) -> None:
    read = ask(reading_model, [page.pixels for page in pages], "free_ocr")
    share, report = compare(read, [page.text for page in pages])
    assert share > 0.95, report


def test_it_finds_text_and_boxes(reading_model: DeepSeekOcr, pages: list[Page]) -> None:
    pages = pages[::2]  # answers with boxes are four times as long
    read = ask(reading_model, [page.pixels for page in pages], "markdown")
    share, report = compare(list(map(plain, read)), [plain(page.markdown) for page in pages])
    assert share > 0.95, report
    boxes = [box_overlap(r, truth_boxes(p.sheet)) for r, p in zip(read, pages, strict=True)]
    assert np.mean(boxes) > 0.85, f"overlaps of boxes: {boxes}; answers: {read}"


def test_it_locates_a_phrase(reading_model: DeepSeekOcr, pages: list[Page]) -> None:
    overlaps = []
    for page in pages:
        line = page.sheet.parts[0].lines[0]
        phrase, target = locate(line, slice(0, 2))
        (answer,) = ask(reading_model, [page.pixels], f"locate:{phrase}")
        overlaps.append(box_overlap(answer, [read_grounding(target.text).blocks[0].box]))
    assert np.mean(overlaps) > 0.6, overlaps


def test_fewer_vision_tokens_read_less(reading_model: DeepSeekOcr, pages: list[Page]) -> None:
    """Compression costs accuracy, as in the paper; untrained modes read next to nothing."""
    shares = {}
    for mode in reading_model.modes.values():
        tokens = reading_model.encode([page.pixels for page in pages], mode)
        requests = [DecodeRequest(one, prompt_named("free_ocr"), 250) for one in tokens]
        read = [answer.text for answer in reading_model.decode(requests)]
        shares[mode.base_size], _ = compare(read, [page.text for page in pages])
    best = max(shares)
    assert shares[best] == max(shares.values()), shares
    assert shares[best] > max(s for side, s in shares.items() if side not in TRAINED) + 0.5, shares


def test_a_file_goes_the_whole_way(reading_model: DeepSeekOcr) -> None:
    """Text, kinds and boxes of the sample cards come from the model, not the text layer."""
    engine = DeepSeekOcrEngine(
        reading_model, OpticalConfig(mode="large"), fallback=LayoutEngine(), batch=3
    )
    with open_document(CARDS) as document:
        read = list(engine.parse(document.tasks()))
    engine.close()
    for page in read:
        assert isinstance(page, ParsedPage)
        assert not set(page.flags) & {Flag.FROM_TEXT_LAYER, Flag.LOOP, Flag.DISAGREES}
        assert page.blocks[0].kind is BlockKind.TITLE
    first = read[0]
    assert isinstance(first, ParsedPage)
    words = ["harbor", "winter", "ships", "copper", "damage", "pump"]
    assert agreement(" ".join(block.text for block in first.blocks), words) > 0.8


def test_loading_it_logs_its_caution(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        DeepSeekOcr(TINY_SYNTHETIC, device="cpu")
    assert "reads only synthetic pages" in caplog.text


def test_a_mode_of_the_released_model_is_rejected(reading_model: DeepSeekOcr) -> None:
    with pytest.raises(ConfigError, match=r"auto, tiny, small, base, large"):
        DeepSeekOcrEngine(reading_model, OpticalConfig(mode="gundam"), fallback=LayoutEngine())


def test_it_is_small_and_not_part_of_the_package() -> None:
    assert sum(file.stat().st_size for file in TINY_SYNTHETIC.iterdir()) < 12e6
    assert "ingest" not in TINY_SYNTHETIC.parts[-2:]
