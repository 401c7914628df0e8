"""Decoding pages again from their cached vision tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pymupdf
import pytest
from numpy.typing import NDArray

from opticalrag.ingest.core.config import TokenCacheConfig
from opticalrag.ingest.core.errors import (
    CacheMiss,
    ConfigError,
    EngineError,
    SourceChanged,
    SourceError,
)
from opticalrag.ingest.core.modes import MODES, TARGET_COMPRESSION, Mode
from opticalrag.ingest.core.prompts import PROMPTS
from opticalrag.ingest.core.records import DocumentRef, PageRef
from opticalrag.ingest.core.schema import Field
from opticalrag.ingest.core.vision import DecodeRequest, TokenKey, Transcript, VisionTokens
from opticalrag.ingest.engines.deepseek_ocr.engine import PROFILE
from opticalrag.ingest.engines.deepseek_ocr.model import DeepSeekOcr
from opticalrag.ingest.token_cache.cache import TokenCache
from opticalrag.retrievers.query import Hit
from opticalrag.retrievers.redecode import (
    PageTarget,
    Redecoder,
    Redecoding,
    redecode_all,
    target_from_hit,
)

from ..engines.deepseek_ocr.test_engine import ScriptedModel, always
from ..pipeline.test_pipeline import page_text, write_pdf

PAGES = 100
TABLE = (
    "Before.\n\n<table><tr><td>Month</td><td>GWh</td></tr><tr><td>May</td><td>3.1</td></tr></table>"
)


class DecoderOnly:
    """A model that fails if it has to encode a page."""

    preprocessing = "pillow-1"
    modes, compression = MODES, TARGET_COMPRESSION

    def __init__(self, model: DeepSeekOcr) -> None:
        self.name, self.weights, self._model = model.name, model.weights, model

    def encode(self, pages: Sequence[NDArray[np.uint8]], mode: Mode) -> list[VisionTokens]:
        """Fails."""
        raise AssertionError("encoded")

    def decode(self, requests: Sequence[DecodeRequest]) -> list[Transcript]:
        """As the model."""
        return self._model.decode(requests)

    def count_text_tokens(self, text: str) -> int:
        """Fails."""
        raise AssertionError("counted")


@pytest.mark.slow
def test_a_hundred_pages_are_decoded_again_from_the_cache_alone(
    tmp_path: Path, tiny_model: DeepSeekOcr, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file is opened, rendered or encoded, and every token equals the first answer."""
    document = DocumentRef("doc", "0" * 64, "gone.pdf", "/gone.pdf", PAGES)
    random = np.random.default_rng(0)
    first = []
    with TokenCache(TokenCacheConfig(str(tmp_path))) as cache:
        for number in range(PAGES):
            height, width = random.integers(20, 400, 2)
            pixels = random.integers(0, 255, (height, width, 3), np.uint8)
            pixels[: height // 2, : width // (1 + number % 5)] = 255 - number
            (tokens,) = tiny_model.encode([pixels], MODES["tiny"])
            key = TokenKey.for_page(pixels, PROFILE, "tiny", tiny_model)
            cache.store(key, tokens, PageRef(document, number, ""))
            request = DecodeRequest(tokens, PROMPTS["markdown"], 12)
            first.append(tiny_model.decode([request])[0].text)

    def never(*arguments: object, **options: object) -> None:
        raise AssertionError("a document was opened")

    monkeypatch.setattr(pymupdf, "open", never)
    with TokenCache(TokenCacheConfig(str(tmp_path))) as cache:
        redecoder = Redecoder(cache, DecoderOnly(tiny_model))
        again = [
            redecoder.redecode(PageTarget("/gone.pdf", number + 1), max_tokens=12).text
            for number in range(PAGES)
        ]
    assert again == first
    assert len(set(first)) > 1  # pages differ


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Two pages of text."""
    return Path(write_pdf(tmp_path / "a.pdf", page_text("valve"), page_text("pump")))


@pytest.fixture
def redecoder(tmp_path: Path) -> Redecoder:
    """An empty cache, and a model that answers with a table."""
    return Redecoder(
        TokenCache(TokenCacheConfig(str(tmp_path / "tokens"))), ScriptedModel(always(TABLE))
    )


class LoopingModel(ScriptedModel):
    """Writes three tokens, and a hundred repeated ones until it is stopped."""

    def _transcript(self, request: DecodeRequest) -> Transcript:
        return replace(super()._transcript(request), finish_reason="loop", repeated=100)


def encode(redecoder: Redecoder, file: Path, page: int = 1) -> None:
    """Cache the tokens of a page."""
    redecoder.redecode(PageTarget(str(file), page), mode="tiny", encode=True)


def hit(file: Path, **payload: Any) -> Hit:
    """A hit on page 1 of the file."""
    return Hit(
        "id", 1.0, "text", file_path=str(file), file_id=str(file), pages=(1,), payload=payload
    )


def test_a_miss_says_whether_the_page_could_be_encoded(redecoder: Redecoder, file: Path) -> None:
    """The message depends on whether the file exists."""
    with pytest.raises(CacheMiss, match="pass encode=True to encode it again"):
        redecoder.redecode(PageTarget(str(file), 1))
    with pytest.raises(CacheMiss, match=r"/nowhere\.pdf does not exist either: check the path"):
        redecoder.redecode(PageTarget("/nowhere.pdf", 1))


def test_a_page_is_encoded_once_on_request(redecoder: Redecoder, file: Path) -> None:
    """Afterwards it is found by path, name and hit, even without the file."""
    encode(redecoder, file)
    file.unlink()
    for target in (PageTarget(str(file), 1), PageTarget("a.pdf", 1), hit(file)):
        assert redecoder.redecode(target, "free_ocr").prompt == "free_ocr"
    assert redecoder.model.encoded == [(1, "tiny")]  # type: ignore[attr-defined]


def test_a_changed_file_is_not_encoded(redecoder: Redecoder, file: Path) -> None:
    """The answer would describe another page."""
    with pytest.raises(SourceChanged, match="has changed"):
        redecoder.redecode(hit(file, **{Field.FILE_SHA256: "0" * 64}), encode=True)
    with pytest.raises(SourceError, match="has no page 7: choose one from 1 to 2"):
        redecoder.redecode(PageTarget(str(file), 7), encode=True)


def test_another_models_tokens_are_a_miss(redecoder: Redecoder, file: Path) -> None:
    """Decoding them would give noise."""
    encode(redecoder, file)
    redecoder.model.weights = "1" * 16  # type: ignore[misc]
    with pytest.raises(CacheMiss, match=r"a model with the weights 0+; this model has 1+: load"):
        redecoder.redecode(PageTarget(str(file), 1))


def test_wrong_prompts_and_modes_are_refused(redecoder: Redecoder, file: Path) -> None:
    """Before the cache is searched."""
    for options in ({"prompt": "poem"}, {"mode": "huge"}):
        with pytest.raises(ConfigError):
            redecoder.redecode(PageTarget(str(file), 1), **options)


def test_a_hit_without_a_page_is_a_miss() -> None:
    """Other tools may write such points."""
    with pytest.raises(CacheMiss, match="does not name"):
        target_from_hit(Hit("id", 1.0, "text"))


def test_tokens_of_an_older_version_are_not_used(redecoder: Redecoder, file: Path) -> None:
    """A hit in the edited file is a miss until its page is encoded again."""
    encode(redecoder, file)
    write_pdf(file, page_text("rotor"))
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    edited = hit(file, **{Field.FILE_SHA256: sha256})
    with pytest.raises(CacheMiss, match="encode it again"):
        redecoder.redecode(edited)
    redecoder.redecode(edited, encode=True)
    redecoder.redecode(edited)
    assert len(redecoder.model.encoded) == 2  # type: ignore[attr-defined]


def test_mode_auto_means_any_cached_mode(redecoder: Redecoder, file: Path) -> None:
    """As in ingest, it selects no particular mode."""
    encode(redecoder, file)
    assert redecoder.redecode(PageTarget(str(file), 1), mode="auto").mode == "tiny"


def test_an_invalid_file_name_is_a_miss(redecoder: Redecoder) -> None:
    """Language models invent such names."""
    for encode_it in (False, True):
        for name in ("x" * 5000, "/" + "x" * 5000):
            with pytest.raises(CacheMiss, match="no vision tokens are stored for a doc") as said:
                redecoder.redecode(PageTarget(name, 1), encode=encode_it)
            assert len(str(said.value)) < 600


def test_tokens_of_another_width_are_refused(tmp_path: Path, tiny_model: DeepSeekOcr) -> None:
    """A crafted cache entry can claim any weights."""
    view, tiles = np.zeros((16, 7), np.float32), np.zeros((0, 0, 7), np.float32)
    made_by = ("model", tiny_model.weights, "pillow-1")
    page = VisionTokens(view, tiles, (1, 1), "tiny", "float32", *made_by)
    with pytest.raises(EngineError, match="have width 7"):
        tiny_model.decode([DecodeRequest(page, PROMPTS["markdown"], 3)])


def test_the_tokens_of_a_loop_count_against_the_budget(redecoder: Redecoder, file: Path) -> None:
    """Each answer takes 103 tokens, so the third page is not decoded."""
    encode(redecoder, file)
    looping = Redecoder(redecoder.cache, LoopingModel(always("pump pump")))
    answers = redecode_all(looping, [(PageTarget(str(file), 1), "free_ocr")] * 3, 200)
    assert [a.output_tokens for a in answers if isinstance(a, Redecoding)] == [103, 103]


# -- reasons of misses, and files to encode from ----------------------------------------------


def test_a_name_never_means_a_file_in_the_current_directory(
    redecoder: Redecoder, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another page of a known document is encoded from the document's own path only."""
    encode(redecoder, file)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    write_pdf(elsewhere / "a.pdf", page_text("rotor"), page_text("stator"))
    monkeypatch.chdir(elsewhere)
    redecoder.redecode(PageTarget("a.pdf", 2), mode="tiny", encode=True)
    assert {(it.page, it.uri) for it in redecoder.cache.pages()} == {(0, str(file)), (1, str(file))}

    file.unlink()
    with pytest.raises(CacheMiss, match=f"its file {file} no longer exists"):
        redecoder.redecode(PageTarget("a.pdf", 2), mode="base", encode=True)
    assert len(redecoder.model.encoded) == 2  # type: ignore[attr-defined]


def test_an_unknown_name_is_not_a_path(
    redecoder: Redecoder, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a path can be encoded."""
    monkeypatch.chdir(file.parent)
    with pytest.raises(CacheMiss, match=r"name 'a\.pdf'.*give its path, such as \./report"):
        redecoder.redecode(PageTarget("a.pdf", 1), encode=True)
    redecoder.redecode(PageTarget("./a.pdf", 1), mode="tiny", encode=True)
    assert redecoder.redecode(PageTarget("a.pdf", 1)).mode == "tiny"


def test_a_file_edited_since_its_tokens_were_cached_is_not_encoded(
    redecoder: Redecoder, file: Path
) -> None:
    """Neither by name nor by path: one document would have pages of two versions."""
    encode(redecoder, file)
    write_pdf(file, page_text("rotor"), page_text("stator"))
    for name in ("a.pdf", str(file)):
        with pytest.raises(SourceChanged, match="ingest it again"):
            redecoder.redecode(PageTarget(name, 2), encode=True)
    assert len(redecoder.cache.pages("a.pdf")) == 1


def test_a_moved_file_is_encoded_as_the_same_document(
    redecoder: Redecoder, file: Path, tmp_path: Path
) -> None:
    """If its path is given and its bytes are the same."""
    encode(redecoder, file)
    file.rename(tmp_path / "moved.pdf")
    moved = PageTarget("a.pdf", 2, str(tmp_path / "moved.pdf"))
    redecoder.redecode(moved, mode="tiny", encode=True)
    assert {it.uri for it in redecoder.cache.pages("a.pdf")} == {str(file)}
    assert redecoder.redecode(PageTarget("a.pdf", 2)).mode == "tiny"


@pytest.mark.parametrize("encode_it", [False, True])
@pytest.mark.parametrize(
    ("page", "mode", "said"),
    [
        (7, None, "there is no page 7 of a.pdf, which has 2 pages: choose one from 1 to 2"),
        (-1, None, "there is no page -1 of a.pdf, which has 2 pages: choose one from 1 to 2"),
        (
            1,
            "large",
            "the vision tokens of page 1 of a.pdf are stored in mode tiny, not in large: omit the"
            " mode; its",
        ),
        (2, None, "no vision tokens are stored for page 2 of a.pdf; its file"),
    ],
)
def test_each_miss_has_its_own_message(
    redecoder: Redecoder, file: Path, page: int, mode: str | None, said: str, encode_it: bool
) -> None:
    """The missing file is mentioned only if it would have helped."""
    encode(redecoder, file)
    file.unlink()
    with pytest.raises(CacheMiss) as miss:
        redecoder.redecode(PageTarget("a.pdf", page), mode=mode, encode=encode_it)
    assert str(miss.value).startswith(said)
    assert ("no longer exists" in str(miss.value)) == said.endswith(("its", "file"))


def test_an_ambiguous_name_asks_for_the_path(redecoder: Redecoder, tmp_path: Path) -> None:
    """It is unknown which of the documents was meant."""
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        encode(redecoder, Path(write_pdf(tmp_path / folder / "a.pdf", page_text(folder))))
    with pytest.raises(CacheMiss, match=r"2 documents are named 'a.pdf': give the path \(.*\)$"):
        redecoder.redecode(PageTarget("a.pdf", 1), encode=True)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("", "not read from a file: ingest"),
        ("s3://bucket/a.pdf", "s3://bucket/a.pdf, which is not"),
    ],
)
def test_a_document_without_a_local_file_cannot_be_encoded(
    redecoder: Redecoder, tmp_path: Path, uri: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was read from memory or from a bucket."""
    write_pdf(tmp_path / "a.pdf", page_text("rotor"))
    monkeypatch.chdir(tmp_path)
    (tokens,) = redecoder.model.encode([np.zeros((8, 8, 3), np.uint8)], MODES["tiny"])
    document = DocumentRef("doc", "0" * 64, "a.pdf", uri, 2)
    key = TokenKey.for_page(np.zeros((8, 8, 3), np.uint8), PROFILE, "tiny", redecoder.model)
    redecoder.cache.store(key, tokens, PageRef(document, 0, "1"))
    with pytest.raises(CacheMiss, match=said):
        redecoder.redecode(PageTarget("a.pdf", 2), encode=True)
