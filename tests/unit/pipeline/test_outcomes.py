"""Outcomes of an engine are matched to documents by document id and page, not by order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from opticalrag.ingest.core.records import PageFailure, PageOutcome, PageTask
from opticalrag.ingest.store.store import QdrantStore

from ...chaos.engines import TextEngine
from .test_background import documents, payloads, run


class Reversed(TextEngine):
    """Reads all pages before it gives the last one first."""

    def parse(self, tasks: Iterable[PageTask]) -> Iterator[PageOutcome]:
        yield from reversed(list(super().parse(tasks)))


class Stuttering(TextEngine):
    """Gives each page twice, and a failure that belongs to no document."""

    def parse(self, tasks: Iterable[PageTask]) -> Iterator[PageOutcome]:
        for outcome in super().parse(tasks):
            yield from (outcome, outcome)
        yield PageFailure("/elsewhere.pdf", 0, "crashed", "lost")


@pytest.fixture
def store() -> Iterator[QdrantStore]:
    with QdrantStore(":memory:") as opened:
        yield opened


def test_pages_in_any_order_go_to_their_documents(tmp_path: Path, store: QdrantStore) -> None:
    """What is stored is the same as when pages come in order."""
    files = documents(tmp_path, 3, 2)
    report = run(store, files, Reversed())

    assert (report.documents, report.pages_parsed, report.failures) == (3, 6, [])
    with QdrantStore(":memory:") as other:
        run(other, files, TextEngine())
        assert payloads(store) == payloads(other)


def test_a_page_that_no_document_awaits_is_not_stored(tmp_path: Path, store: QdrantStore) -> None:
    """A page given twice counts once; a failure without a document is listed as it is."""
    files = documents(tmp_path, 2, 2)
    report = run(store, files, Stuttering())

    assert (report.documents, report.pages_parsed) == (2, 4)
    assert [failure.file for failure in report.failures] == ["/elsewhere.pdf"]


def test_a_file_that_is_given_twice_is_read_and_stored(tmp_path: Path, store: QdrantStore) -> None:
    """Both times it has the same document id."""
    (file,) = documents(tmp_path, 1, 2)
    report = run(store, [file, file], Reversed())

    assert (report.documents, report.pages_parsed, report.failures) == (2, 4, [])
    assert payloads(store)
