from __future__ import annotations

from opticalrag.ingest.core.identity import chunk_id, document_id, page_id


def test_ids_never_change() -> None:
    """Ids of stored points must be the same in every later version."""
    document = document_id("/reports/a.pdf", "ab" * 32)

    assert document == "998fd9df-80d7-5d49-981e-80d2de24b941"
    assert page_id(document, 0) != page_id(document, 1)


def test_an_edited_file_stays_the_same_document() -> None:
    """The location identifies a document; the bytes do only if there is no location."""
    assert document_id("/a.pdf", "1") == document_id("/a.pdf", "2")
    assert document_id("", "1") != document_id("", "2")


def test_broken_unicode_has_an_id() -> None:
    """Lone surrogates from broken PDF encodings do not raise."""
    assert chunk_id("d", 0, "\ud800", 0) != chunk_id("d", 0, "\ud801", 0)
