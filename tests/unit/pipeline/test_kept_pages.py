"""Reused pages keep their vision tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pymupdf
import pytest

from opticalrag.ingest.assembly import open_journal, open_pipeline, open_store
from opticalrag.ingest.core.config import (
    EngineConfig,
    IngestOptions,
    OpticalConfig,
    StoreConfig,
    TokenCacheConfig,
)
from opticalrag.ingest.core.records import PageOutcome, PageTask, ParsedPage
from opticalrag.ingest.pipeline.report import IngestReport
from opticalrag.ingest.token_cache.cache import TokenCache

from ...chaos.engines import TextEngine
from ...chaos.ingester import ingest
from ..token_cache.test_codecs import KEY, tokens
from .test_pipeline import page_text, write_pdf
from .test_resume import edit


class KeepingEngine(TextEngine):
    """Stores tokens of each page it reads, keyed by its text; none for blank pages.

    Args:
        log: a file that gets a line for every page that is read.
        cache: where tokens are stored.
        most: pages after which it raises KeyboardInterrupt.
    """

    def __init__(self, log: Path, cache: TokenCache, most: int = 1000) -> None:
        super().__init__(log)
        self._cache = cache
        self._most = most

    def parse(self, tasks: Iterable[PageTask]) -> Iterator[PageOutcome]:
        for number, outcome in enumerate(super().parse(tasks)):
            if number == self._most:
                raise KeyboardInterrupt
            assert isinstance(outcome, ParsedPage)
            text = "".join(block.text for block in outcome.blocks)
            if not text:
                yield replace(outcome, flags=("blank",))
                continue
            page = hashlib.sha256(text.encode()).hexdigest()
            self._cache.store(replace(KEY, page=page), tokens(), outcome.ref)
            yield outcome


class Case:
    """A folder of files, a store with its journal, and a cache of tokens."""

    def __init__(self, root: Path) -> None:
        self.files = root / "files"
        self.files.mkdir()
        (self.files / "not-read.txt").touch()  # an empty folder may be a disk not mounted
        self.config = StoreConfig(str(root / "store"))
        self.cache = TokenCache(TokenCacheConfig(str(root / "tokens")))
        self.log = root / "parsed"

    def run(self, most: int = 1000, **options: Any) -> IngestReport:
        journal = open_journal(self.config, create=True)
        assert journal is not None
        chosen = IngestOptions(roots=(str(self.files),), **options)
        engine = KeepingEngine(self.log, self.cache, most)
        with open_store(self.config, create=True) as store, journal:
            return ingest(
                self.files, store, journal, None, chosen, engine=engine, keeper=self.cache
            )

    def kept(self, file: Path, pages: int) -> list[bool]:
        """For each page, whether the cache has tokens of the file's current content."""
        found = {page.page: page.sha256 for page in self.cache.pages(str(file))}
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        return [found.get(page) == sha256 for page in range(pages)]


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    made = Case(tmp_path)
    with made.cache:
        yield made


def insert(file: Path, *texts: str) -> None:
    """Insert pages at the front."""
    document = pymupdf.open(file)
    for text in reversed(texts):
        document.new_page(0).insert_text((72, 72), text)
    content = document.tobytes()
    document.close()
    file.write_bytes(content)


def test_pages_of_edited_and_renamed_files_keep_their_tokens(case: Case) -> None:
    """Tokens belong to one content of one document; all pages used to be parsed again."""
    file = write_pdf(case.files / "a.pdf", *(page_text(f"valve{n}") for n in range(5)))
    case.run()
    edit(file, 2, "The rotor was replaced.")
    assert case.run().pages_parsed == 1
    assert case.kept(file, 5) == [True] * 5

    insert(file, "A new first page.")
    assert case.run().pages_parsed == 1
    assert case.kept(file, 6) == [True] * 6

    moved = file.rename(case.files / "b.pdf")
    report = case.run()
    assert (report.renamed, report.pages_parsed) == (1, 0)
    assert case.kept(moved, 6) == [True] * 6


def test_a_page_whose_tokens_were_dropped_is_read_again(case: Case) -> None:
    """But only once its file is edited."""
    file = write_pdf(case.files / "a.pdf", page_text("valve"), "", page_text("pump"))
    case.run()
    case.cache.delete(str(file))
    assert case.run().unchanged == 1

    edit(file, 0, "More.")
    assert case.run().pages_parsed == 2  # the blank page has no tokens
    assert case.kept(file, 3) == [True, False, True]


def test_a_run_that_was_cut_off_reads_no_page_twice(case: Case) -> None:
    """Not even pages whose tokens it had passed on already."""
    file = write_pdf(case.files / "a.pdf", *(page_text(f"valve{n}") for n in range(4)))
    case.run()
    insert(file, *(f"New page {n}." for n in range(3)))
    with pytest.raises(KeyboardInterrupt):
        case.run(most=2)
    report = case.run()

    parsed = case.log.read_text().splitlines()
    assert len(parsed) == 4 + 3 + 1  # the one that it was cut off at
    assert report.pages_parsed == 1
    assert case.kept(file, 7) == [True] * 7


def test_a_dry_run_says_which_pages_would_be_read(case: Case) -> None:
    """It passes no tokens on."""
    file = write_pdf(case.files / "a.pdf", page_text("valve"), page_text("pump"))
    case.run()
    edit(file, 1, "More.")
    said = case.run(dry_run=True)

    assert (said.pages_parsed, said.pages_reused) == (1, 1)
    assert case.kept(file, 2) == [False, False]
    case.cache.delete(str(file))
    assert case.run(dry_run=True).pages_parsed == 2


def test_a_renamed_file_is_not_read_by_the_model_again(
    tmp_path: Path, tiny_checkpoint: Path
) -> None:
    """With the real engine and cache, put together as in ``opticalrag ingest``."""
    file = write_pdf(tmp_path / "a.pdf", page_text("valve"))
    kept = TokenCacheConfig(str(tmp_path / "tokens"))
    optical = OpticalConfig(
        str(tiny_checkpoint), mode="tiny", device="cpu", max_output_tokens=8, tokens=kept
    )
    config = EngineConfig("deepseek-ocr", optical=optical)
    with open_pipeline(StoreConfig(str(tmp_path / "store")), config) as pipeline:
        pipeline.run([file])
        moved = file.rename(tmp_path / "b.pdf")
        report = pipeline.run([moved])

    assert (report.renamed, report.pages_parsed, report.pages_reused) == (1, 0, 1)
    with TokenCache(kept) as cache:
        before, after = cache.pages(str(file)), cache.pages(str(moved))
    assert [one.name for one in after] == [one.name for one in before] != []
