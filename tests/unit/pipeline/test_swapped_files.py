"""Files that take each other's names, or have the same bytes: what was done is done for all."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from opticalrag.ingest.store.store import QdrantStore

from .test_pipeline import page_text, write_pdf
from .test_resume import Place, as_if_new, place, rows

__all__ = ["place"]


def swap(one: Path, other: Path) -> None:
    """Give two files each other's names."""
    between = one.with_suffix(".tmp")
    one.rename(between)
    other.rename(one)
    between.rename(other)


def test_pages_of_swapped_files_stay_in_the_journal(place: Place) -> None:
    """The first that is finished drops its old pages, which by then are the other's."""
    one = write_pdf(place.files / "a.pdf", page_text("valve"), page_text("pump"))
    other = write_pdf(place.files / "b.pdf", page_text("rotor"), page_text("stator"))
    place.run()
    swap(one, other)
    swapped = place.run()
    assert (swapped.pages_parsed, swapped.pages_reused) == (0, 4)
    assert rows(place.journal)["pages"] == 4

    place.store.delete_documents(list(place.store.paths()))
    again = place.run()

    assert (again.pages_parsed, again.pages_reused) == (0, 4)


def test_vectors_of_a_swapped_file_are_taken_over(place: Place) -> None:
    """The first that is written finds them, though the other is begun with new bytes meanwhile."""
    one = write_pdf(place.files / "a.pdf", page_text("valve"))
    other = write_pdf(place.files / "b.pdf", page_text("rotor"))
    place.run()
    swap(one, other)
    swapped = place.run()

    assert swapped.vectors_copied == swapped.chunks / 2
    assert place.payloads() == as_if_new(place)


def test_of_many_copies_of_a_file_few_are_asked_for_vectors(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each copy asks the store for all before it: of 10,000, that takes hours."""
    asked: list[str] = []
    existing = QdrantStore.existing_ids

    def counted(self: QdrantStore, document: str) -> set[str]:
        asked.append(document)
        return existing(self, document)

    monkeypatch.setattr(QdrantStore, "existing_ids", counted)
    first = write_pdf(place.files / "00.pdf", page_text("valve"))
    for n in range(1, 20):
        shutil.copy(first, place.files / f"{n:02}.pdf")
    report = place.run()

    assert report.vectors_copied == report.chunks * 19 / 20
    assert len(asked) <= 20 * 2
    assert place.payloads() == as_if_new(place)
