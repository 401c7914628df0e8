"""Files that swap names, or have the same bytes, share pages and vectors."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from opticalrag.ingest.store.store import QdrantStore

from .test_pipeline import page_text, write_pdf
from .test_resume import Case, as_if_new, case, rows

__all__ = ["case"]


def swap(one: Path, other: Path) -> None:
    """Give two files each other's names."""
    between = one.with_suffix(".tmp")
    one.rename(between)
    other.rename(one)
    between.rename(other)


def test_pages_of_swapped_files_stay_in_the_journal(case: Case) -> None:
    """The first to finish drops its old pages, but by then the other has claimed them."""
    one = write_pdf(case.files / "a.pdf", page_text("valve"), page_text("pump"))
    other = write_pdf(case.files / "b.pdf", page_text("rotor"), page_text("stator"))
    case.run()
    swap(one, other)
    swapped = case.run()
    assert (swapped.pages_parsed, swapped.pages_reused) == (0, 4)
    assert rows(case.journal)["pages"] == 4

    case.store.delete_documents(list(case.store.paths()))
    again = case.run()

    assert (again.pages_parsed, again.pages_reused) == (0, 4)


def folder(case: Case, name: str) -> Path:
    made = case.files / name
    made.mkdir()
    return made


def test_vectors_of_a_swapped_file_are_copied(case: Case) -> None:
    """The first to be written finds them, though the other was begun with new bytes meanwhile.

    Both have the same name: a vector depends on it.
    """
    one = write_pdf(folder(case, "1") / "a.pdf", page_text("valve"))
    other = write_pdf(folder(case, "2") / "a.pdf", page_text("rotor"))
    case.run()
    swap(one, other)
    swapped = case.run()

    assert swapped.vectors_copied == swapped.chunks / 2
    assert case.payloads() == as_if_new(case)


def test_few_of_many_copies_of_a_file_are_asked_for_vectors(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If each of 10,000 copies asked for all earlier ones, the run would take hours."""
    asked: list[str] = []
    existing = QdrantStore.existing_ids

    def counted(self: QdrantStore, document: str) -> set[str]:
        asked.append(document)
        return existing(self, document)

    monkeypatch.setattr(QdrantStore, "existing_ids", counted)
    first = write_pdf(folder(case, "00") / "a.pdf", page_text("valve"))
    for n in range(1, 20):
        shutil.copy(first, folder(case, f"{n:02}"))
    report = case.run()

    assert report.vectors_copied == report.chunks * 19 / 20
    assert len(asked) <= 20 * 2
    assert case.payloads() == as_if_new(case)
