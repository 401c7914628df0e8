"""The DeepSeek-OCR engine: attempts, flags, fallbacks and the order of outcomes.

Most tests use a model with scripted answers, because a tiny model cannot read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

import numpy as np
import pymupdf
import pytest
from numpy.typing import NDArray

from opticalrag.ingest.core.config import EngineConfig, OpticalConfig
from opticalrag.ingest.core.errors import (
    ConfigError,
    DamagedDocument,
    EngineError,
    OpticalRagError,
    OutOfMemory,
)
from opticalrag.ingest.core.flags import Flag, doubts
from opticalrag.ingest.core.modes import MODES, TARGET_COMPRESSION, Mode
from opticalrag.ingest.core.records import BlockKind, PageFailure, PageOutcome, PageTask, ParsedPage
from opticalrag.ingest.core.vision import DecodeRequest, FinishReason, Transcript, VisionTokens
from opticalrag.ingest.documents.pages import open_document
from opticalrag.ingest.engines.choice import make_engine
from opticalrag.ingest.engines.deepseek_ocr.engine import DeepSeekOcrEngine
from opticalrag.ingest.engines.deepseek_ocr.model import DeepSeekOcr
from opticalrag.ingest.engines.layout import LayoutEngine
from opticalrag.ingest.system.workers import WorkerPool

from ...pipeline.test_pipeline import page_text, write_pdf

Answer = tuple[str, FinishReason]
MARK = "<|ref|>{}<|/ref|><|det|>[[100, 100, 900, 200]]<|/det|>\n{}\n\n"


class ScriptedModel:
    """Answers by prompt and mode from a script, and counts its calls."""

    name, weights, preprocessing = "scripted", "0" * 16, "none"
    modes, compression = MODES, TARGET_COMPRESSION

    def __init__(self, answer: Callable[[str, str], Answer]) -> None:
        self.answer = answer
        self.encoded: list[tuple[int, str]] = []
        self.decoded: list[int] = []

    def encode(self, pages: Sequence[NDArray[np.uint8]], mode: Mode) -> list[VisionTokens]:
        """Return empty tokens of this mode."""
        self.encoded.append((len(pages), mode.name))
        view, tiles = np.zeros((4, 2), np.float32), np.zeros((0, 0, 2), np.float32)
        made = (mode.name, "float32", self.name, self.weights, self.preprocessing)
        return [VisionTokens(view, tiles, (1, 1), *made) for _ in pages]

    def decode(self, requests: Sequence[DecodeRequest]) -> list[Transcript]:
        """Return the script's answers."""
        self.decoded.append(len(requests))
        return [self._transcript(request) for request in requests]

    def stream(
        self, requests: Iterable[DecodeRequest | None], most: int | None = None
    ) -> Iterator[tuple[int, Transcript | OpticalRagError]]:
        """Yield the script's answers in pairs, the second page of a pair first."""
        source = iter(requests)
        first = 0
        while pair := [request for request in islice(source, 2) if request]:
            answers = self.decode(pair)
            yield from reversed(list(enumerate(answers, first)))
            first += len(pair)

    def count_text_tokens(self, text: str) -> int:
        """Count words."""
        return len(text.split())

    def _transcript(self, request: DecodeRequest) -> Transcript:
        text, reason = self.answer(request.prompt.name, request.tokens.mode)
        name, prompt = request.prompt.name, request.prompt.text
        return Transcript((1, 2, 3), text, reason, name, prompt, 4, 7, 0.1)


def always(text: str, reason: FinishReason = "eos") -> Callable[[str, str], Answer]:
    """Return a script with one answer to everything."""
    return lambda prompt, mode: (text, reason)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Three pages of text."""
    write_pdf(tmp_path / "a.pdf", page_text("valve"), page_text("pump"), page_text("rotor"))
    return tmp_path / "a.pdf"


def read(
    file: Path, model: ScriptedModel, config: OpticalConfig | None = None
) -> list[PageOutcome]:
    """Read all pages of a file with the engine."""
    engine = DeepSeekOcrEngine(model, config, fallback=LayoutEngine(), batch=2)
    with open_document(file) as document:
        outcomes = list(engine.parse(document.tasks()))
    engine.close()
    return outcomes


def only(outcomes: Sequence[PageOutcome]) -> Iterator[ParsedPage]:
    """Yield the pages, and fail if one of them failed."""
    for outcome in outcomes:
        assert isinstance(outcome, ParsedPage)
        yield outcome


def noted(
    requests: Iterable[DecodeRequest | None], seen: list[DecodeRequest]
) -> Iterator[DecodeRequest | None]:
    """Pass requests on, and collect them."""
    for request in requests:
        if request:
            seen.append(request)
        yield request


def layer_of(topic: str) -> str:
    """Return the text layer of a page as a good answer."""
    return MARK.format("text", page_text(topic))


def test_good_answers_become_blocks_with_boxes(file: Path) -> None:
    """One attempt per page; its mode and the estimate are recorded."""
    answers = iter(["valve", "pump", "rotor"])
    model = ScriptedModel(lambda prompt, mode: (layer_of(next(answers)), "eos"))

    pages = list(only(read(file, model)))

    assert [page.ref.number for page in pages] == [1, 2, 3]
    for page in pages:
        assert {block.kind for block in page.blocks} == {BlockKind.TEXT}
        (box,) = {block.box for block in page.blocks}
        assert box.as_tuple() == pytest.approx((0.1001, 0.1001, 0.9009, 0.2002), abs=1e-4)
        assert page.flags == ()
        assert page.optical is not None
        assert (page.optical.chosen, len(page.optical.attempts)) == (0, 1)
        assert page.optical.attempts[0].mode == "tiny"
        assert page.optical.expected_tokens > 10
        assert (page.width, page.height) == pytest.approx((595, 842), abs=1)
    assert model.encoded == [(2, "tiny"), (1, "tiny")]
    assert model.decoded == [2, 1]


def test_a_loop_is_tried_in_another_mode(file: Path) -> None:
    """Only the page that looped; its first attempt stays on record."""
    model = ScriptedModel(
        lambda prompt, mode: (layer_of("valve"), "loop" if mode == "base" else "eos")
    )
    first = next(only(read(file, model, OpticalConfig(mode="base", batch=1))))

    assert first.optical is not None
    tries = [(a.mode, a.prompt, a.flags) for a in first.optical.attempts]
    assert tries == [("base", "markdown", (Flag.LOOP,)), ("gundam-6", "markdown", ())]
    assert first.optical.chosen == 1
    assert first.flags == ()


def test_a_page_that_cannot_be_read_takes_its_text_layer(file: Path) -> None:
    """After three attempts; the third reuses the tokens of the first."""
    model = ScriptedModel(always("All work and no play.", "length"))
    first = next(only(read(file, model, OpticalConfig(batch=1))))

    assert first.optical is not None
    assert [a.prompt for a in first.optical.attempts] == ["markdown", "markdown", "free_ocr"]
    assert first.optical.chosen is None
    assert {Flag.TRUNCATED, Flag.DISAGREES, Flag.FROM_TEXT_LAYER} <= set(first.flags)
    assert "valve" in " ".join(block.text for block in first.blocks)
    assert Counter(mode for _, mode in model.encoded) == {"tiny": 3, "gundam-6": 3}


def test_a_scan_keeps_the_best_of_bad_attempts(tmp_path: Path) -> None:
    """Without a text layer, the best answer is used and flagged."""
    with pymupdf.open() as document:
        page = document.new_page()
        page.draw_rect((100, 100, 400, 300), fill=(0, 0, 0))
        document.save(tmp_path / "scan.pdf")
    (page_,) = only(read(tmp_path / "scan.pdf", ScriptedModel(always("Some text.", "length"))))

    assert page_.flags == (Flag.TRUNCATED,)
    assert [block.text for block in page_.blocks] == ["Some text."]


def scanned(folder: Path, text: str = "", *, upper: float = 0) -> Path:
    """Write a scan: text below a photograph that takes this share of the page's height."""
    page = pymupdf.open().new_page()
    page.insert_textbox((60, 60 + 842 * upper, 535, 800), text, fontsize=10)
    if upper:
        page.draw_rect((60, 40, 535, 842 * upper), fill=(0.3, 0.3, 0.3))
    with pymupdf.open() as document:
        document.new_page().insert_image((0, 0, 595, 842), pixmap=page.get_pixmap(dpi=144))
        document.save(folder / "scan.pdf")
    page.parent.close()
    return folder / "scan.pdf"


PROSE = "The harbour master counted the ships that came in before the storm. " * 30
PICTURE = "<|ref|>image<|/ref|><|det|>[[90, 40, 910, 500]]<|/det|>\n\n"
WHOLE_PAGE = "<|ref|>image<|/ref|><|det|>[[0, 0, 999, 999]]<|/det|>\n\n"


@pytest.mark.parametrize(
    ("answer", "upper", "flags"),
    [
        ("", 0, (Flag.EMPTY,)),
        ("Of the storm.", 0, (Flag.SHORT,)),
        (WHOLE_PAGE, 0, (Flag.EMPTY,)),
        (PICTURE, 0.48, (Flag.EMPTY,)),
        (PICTURE + MARK.format("text", "Ships."), 0.48, (Flag.SHORT,)),
    ],
    ids=["nothing", "short", "all picture", "only picture", "picture and short"],
)
def test_a_scan_with_too_short_an_answer_is_doubted(
    tmp_path: Path, answer: str, upper: float, flags: tuple[str, ...]
) -> None:
    """All attempts are made, and the page is flagged. It used to be stored as complete."""
    (page,) = only(read(scanned(tmp_path, PROSE, upper=upper), ScriptedModel(always(answer))))

    assert page.optical is not None
    assert [a.prompt for a in page.optical.attempts] == ["markdown", "markdown", "free_ocr"]
    assert page.flags == flags
    assert doubts(page.flags) == flags


def test_a_scan_that_another_mode_reads_is_not_doubted(tmp_path: Path) -> None:
    """The first, short answer stays on record."""
    model = ScriptedModel(
        lambda prompt, mode: ("Ships." if mode == "base" else MARK.format("text", PROSE), "eos")
    )
    (page,) = only(read(scanned(tmp_path, PROSE), model, OpticalConfig(mode="base")))

    assert page.optical is not None
    assert [a.flags for a in page.optical.attempts] == [(Flag.SHORT,), ()]
    assert page.flags == ()


@pytest.mark.parametrize("answer", ["", PICTURE, PICTURE + MARK.format("text", "Figure 1")])
def test_a_photograph_needs_no_words(tmp_path: Path, answer: str) -> None:
    """With or without a box for it."""
    (page,) = only(read(scanned(tmp_path, upper=0.48), ScriptedModel(always(answer))))

    assert page.optical is not None
    assert (page.flags, len(page.optical.attempts)) == ((), 1)


def test_the_words_of_a_diagram_need_not_be_read(tmp_path: Path) -> None:
    """Print inside a picture needs no words. The caption was read."""
    answer = WHOLE_PAGE + MARK.format("image_caption", "Figure 1")
    (page,) = only(read(scanned(tmp_path, PROSE), ScriptedModel(always(answer))))
    assert page.flags == ()


def test_an_answer_to_a_prompt_for_less_than_the_page_may_be_short(tmp_path: Path) -> None:
    """Such as a box, or a sentence about the page."""
    box = "<|ref|>ships<|/ref|><|det|>[[90, 40, 910, 500]]<|/det|>"
    config = OpticalConfig(prompt="locate:ships")
    (page,) = only(read(scanned(tmp_path, PROSE), ScriptedModel(always(box)), config))
    assert page.flags == ()


BROKEN = "<|ref|>text<|/ref|><|det|>[[100, 100, 9000]]<|/det|>\n{}\n\n"


@pytest.mark.parametrize("free_ocr_too", [False, True])
def test_a_scan_read_in_broken_markup_is_doubted(tmp_path: Path, free_ocr_too: bool) -> None:
    """Such answers are often fluent but wrong. A later answer without boxes does not clear them."""
    with pymupdf.open() as document:
        document.new_page().draw_rect((100, 100, 400, 300), fill=(0, 0, 0))
        document.save(tmp_path / "scan.pdf")
    broken = BROKEN.format("Fluent.") + BROKEN.format("Rubbish.")
    free = broken if free_ocr_too else "Fluent rubbish."
    model = ScriptedModel(lambda prompt, mode: (free if prompt == "free_ocr" else broken, "eos"))
    (page_,) = only(read(tmp_path / "scan.pdf", model))

    assert page_.optical is not None
    assert [a.flags for a in page_.optical.attempts] == [(Flag.GRAMMAR,), (Flag.GRAMMAR,), ()]
    assert page_.flags == (Flag.GRAMMAR,)


def test_a_text_layer_clears_an_answer_without_boxes(file: Path) -> None:
    """Broken markup in earlier answers does not count if the text layer agrees."""
    broken = BROKEN.format("Fluent.") + BROKEN.format("Rubbish.")
    model = ScriptedModel(
        lambda prompt, mode: (page_text("valve") if prompt == "free_ocr" else broken, "eos")
    )
    first = next(only(read(file, model)))

    assert first.optical is not None
    assert (first.optical.chosen, first.flags) == (2, ())


def test_an_empty_page_is_not_shown_to_the_model(tmp_path: Path) -> None:
    """The model would invent text."""
    write_pdf(tmp_path / "empty.pdf", "")
    model = ScriptedModel(always("Once upon a time there was a page."))
    (page,) = only(read(tmp_path / "empty.pdf", model))

    assert (page.blocks, page.flags) == ((), (Flag.BLANK,))
    assert model.encoded == []


def emptied(folder: Path) -> Path:
    """Truncate a file so that MuPDF repairs it and a page loses its content."""
    whole = write_pdf(folder / "whole.pdf", *(page_text("valve") for _ in range(4))).read_bytes()
    for share in range(45, 80, 5):
        (folder / "cut.pdf").write_bytes(whole[: len(whole) * share // 100])
        with suppress(DamagedDocument), open_document(folder / "cut.pdf") as document:
            if not all(document.words(i) for i in range(document.ref.page_count)):
                return folder / "cut.pdf"
    raise AssertionError("no cut left an empty page")


def test_empty_pages_of_a_file_that_was_cut_short_are_doubted(tmp_path: Path) -> None:
    """Their content may have been cut off."""
    pages = list(only(read(emptied(tmp_path), ScriptedModel(always(layer_of("valve"))))))

    empty = [page for page in pages if not page.blocks]
    assert empty
    assert {page.flags for page in empty} == {(Flag.BLANK, Flag.DAMAGED)}
    assert not any(Flag.DAMAGED in page.flags for page in pages if page.blocks)


def test_a_page_too_large_for_memory_costs_no_other(file: Path) -> None:
    """Pages that were encoded together are encoded again one by one."""

    class TooSmall(ScriptedModel):
        """Runs out of memory."""

        seen = 0

        def encode(self, pages: Sequence[NDArray[np.uint8]], mode: Mode) -> list[VisionTokens]:
            """Fail on the first batch, and then on its second page."""
            self.seen += 1
            if self.seen in (1, 3):
                raise OutOfMemory("no")
            return super().encode(pages, mode)

    outcomes = read(file, TooSmall(always(layer_of("valve"))))
    failed = [o for o in outcomes if isinstance(o, PageFailure)]
    assert [(o.number, o.code) for o in failed] == [(2, "out_of_memory")]
    assert [o.ref.number for o in outcomes if isinstance(o, ParsedPage)] == [1, 3]


def test_a_page_that_cannot_be_decoded_costs_no_other(file: Path) -> None:
    """Pages that were decoded together are decoded again one by one."""

    class Broken(ScriptedModel):
        """Fails on one page, alone or with others."""

        def decode(self, requests: Sequence[DecodeRequest]) -> list[Transcript]:
            """Fail on the page about pumps."""
            if any("pump" in request.draft for request in requests):
                raise EngineError("no")
            return super().decode(requests)

    outcomes = read(file, Broken(always(layer_of("valve"))))
    assert [type(outcome) for outcome in outcomes] == [ParsedPage, PageFailure, ParsedPage]


def test_a_page_that_the_model_rejects_in_a_stream_costs_no_other(file: Path) -> None:
    """Only the rejected page fails."""

    class Rejecting(ScriptedModel):
        """Rejects the page about pumps."""

        def stream(
            self, requests: Iterable[DecodeRequest | None], most: int | None = None
        ) -> Iterator[tuple[int, Transcript | OpticalRagError]]:
            """Yield an error for one page."""
            seen: list[DecodeRequest] = []
            for number, answer in super().stream(noted(requests, seen), most):
                yield number, EngineError("no") if "pump" in seen[number].draft else answer

    outcomes = read(file, Rejecting(always(layer_of("valve"))))
    assert [type(outcome) for outcome in outcomes] == [ParsedPage, PageFailure, ParsedPage]


def test_a_text_layer_that_cannot_be_read_costs_its_own_page_only(file: Path) -> None:
    """All pages come out, in order."""

    class Torn(LayoutEngine):
        """Fails on the second page."""

        def parse(self, tasks: Iterable[PageTask]) -> Iterator[PageOutcome]:
            """Raise for one page."""
            for task in tasks:
                if task.ref.number == 2:
                    raise DamagedDocument("torn")
                yield from super().parse([task])

    engine = DeepSeekOcrEngine(
        ScriptedModel(always("All work and no play.", "length")), fallback=Torn(), batch=3
    )
    with open_document(file) as document:
        outcomes = list(engine.parse(document.tasks()))
    engine.close()
    assert [type(outcome) for outcome in outcomes] == [ParsedPage, PageFailure, ParsedPage]
    assert isinstance(failed := outcomes[1], PageFailure)
    assert "torn" in failed.message


def test_pages_are_asked_for_while_others_are_read(file: Path) -> None:
    """One stream for all pages, with a draft and an estimate for each."""
    seen: list[DecodeRequest] = []

    class Recording(ScriptedModel):
        """Records the requests."""

        def stream(
            self, requests: Iterable[DecodeRequest | None], most: int | None = None
        ) -> Iterator[tuple[int, Transcript | OpticalRagError]]:
            """Record the requests."""
            assert most == 7
            return super().stream(noted(requests, seen), most)

    read(file, Recording(always(layer_of("valve"))), OpticalConfig(mode="tiny", batch=7))
    assert [("pump" in r.draft, r.expected_tokens) for r in seen[:3]] == [
        (False, len(page_text("valve").split())),
        (True, len(page_text("pump").split())),
        (False, len(page_text("rotor").split())),
    ]


def test_further_attempts_are_in_the_stream_of_the_first(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those of the last pages. In a second stream they would wait for the last answer."""
    streams: list[object] = []
    stream = ScriptedModel.stream
    monkeypatch.setattr(
        ScriptedModel, "stream", lambda *given: streams.append(given) or stream(*given)
    )
    model = ScriptedModel(always("All work and no play.", "length"))
    read(file, model)
    assert (sum(model.decoded), len(streams)) == (9, 1)


def test_pages_are_drawn_while_others_are_read(tmp_path: Path) -> None:
    """Worker processes draw a few pages ahead of the model, and no more."""
    write_pdf(tmp_path / "long.pdf", *(page_text("valve") for _ in range(12)))
    taken: list[int] = []

    class Slow(ScriptedModel):
        """Records how many pages were handed out by the first call."""

        def decode(self, requests: Sequence[DecodeRequest]) -> list[Transcript]:
            """Record the number of pages."""
            self.ahead = getattr(self, "ahead", len(taken))
            return super().decode(requests)

    model = Slow(always(layer_of("valve")))
    engine = DeepSeekOcrEngine(model, fallback=LayoutEngine(), batch=1, pool=WorkerPool(2))
    with open_document(tmp_path / "long.pdf") as document:
        tasks = (taken.append(task.ref.index) or task for task in document.tasks())
        outcomes = list(engine.parse(tasks))
    engine.close()
    assert len(list(only(outcomes))) == 12
    assert 2 + 4 <= model.ahead <= 2 + 6


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("batch", [1, 2, 3])
def test_a_source_that_fails_is_an_error_after_its_pages(
    file: Path, batch: int, workers: int
) -> None:
    """Earlier pages are not lost."""
    model, pool = ScriptedModel(always(layer_of("valve"))), WorkerPool(workers)
    engine = DeepSeekOcrEngine(model, fallback=LayoutEngine(), batch=batch, pool=pool)

    def tasks() -> Iterator[PageTask]:
        yield from document.tasks("1-2")
        raise DamagedDocument("torn")

    outcomes: list[PageOutcome] = []

    def read_all() -> None:
        for outcome in engine.parse(tasks()):
            outcomes.append(outcome)  # noqa: PERF402  extend may drop all of them on an error

    with open_document(file) as document, pytest.raises(DamagedDocument, match="torn"):
        read_all()
    engine.close()
    assert [type(outcome) for outcome in outcomes] == [ParsedPage, ParsedPage]


def test_invalid_options_are_rejected_before_the_first_page() -> None:
    """Unknown modes and prompts."""
    for config in (OpticalConfig(mode="huge"), OpticalConfig(prompt="poem")):
        with pytest.raises(ConfigError):
            DeepSeekOcrEngine(ScriptedModel(always("")), config, fallback=LayoutEngine())


def test_the_fingerprint_tells_readings_apart() -> None:
    """It depends on weights, mode, prompt and token limit, but not on the device."""

    def fingerprint(config: OpticalConfig, weights: str = "0" * 16) -> str:
        model = ScriptedModel(always(""))
        model.weights = weights
        return DeepSeekOcrEngine(model, config, fallback=LayoutEngine()).fingerprint

    same = fingerprint(OpticalConfig())
    assert fingerprint(OpticalConfig(device="cpu", batch=7)) == same
    others = [OpticalConfig(mode="base"), OpticalConfig(prompt="free_ocr")]
    others += [OpticalConfig(max_output_tokens=9)]
    assert len({same, *map(fingerprint, others), fingerprint(OpticalConfig(), "1" * 16)}) == 5


def test_a_real_model_goes_the_whole_way(tiny_checkpoint: Path, file: Path) -> None:
    """The answers are noise, so all pages come from the text layer."""
    optical = OpticalConfig(str(tiny_checkpoint), mode="tiny", device="cpu", max_output_tokens=40)
    engine = make_engine(EngineConfig("deepseek-ocr", optical=optical))
    with open_document(file) as document:
        pages = list(only(list(engine.parse(document.tasks()))))
    engine.close()

    assert len(pages) == 3
    for page in pages:
        assert page.optical is not None
        assert page.optical.attempts[0].vision_tokens == 64
        assert Flag.FROM_TEXT_LAYER in page.flags


def test_the_model_fits_the_engines_interface(tiny_model: DeepSeekOcr) -> None:
    """It counts tokens in its own vocabulary."""
    assert tiny_model.count_text_tokens("abc") == 3
    assert tiny_model.preprocessing
