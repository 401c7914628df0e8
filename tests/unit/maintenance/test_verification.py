from __future__ import annotations

from typing import Any

import pytest

from opticalrag.ingest.core.schema import SCHEMA_VERSION, Field
from opticalrag.ingest.maintenance.verification import verify_points

HASH = "a" * 64


def points(count: int = 3, **changes: Any) -> list[dict[str, Any]]:
    """Payloads of a document that is whole."""
    base = {
        Field.FILE_ID: "d",
        Field.FILE_PATH: "/a.pdf",
        Field.FILE_SHA256: HASH,
        Field.FINGERPRINT: "f",
        Field.CHUNK_COUNT: count,
        Field.SCHEMA: SCHEMA_VERSION,
    }
    return [{**base, Field.ORDINAL: n, **changes} for n in range(count)]


def kinds(payloads: list[dict[str, Any]], sha256: str | None = HASH) -> list[str]:
    return [problem.kind for problem in verify_points(payloads, lambda path: sha256).problems]


def test_a_whole_document_has_no_problem() -> None:
    """Every chunk is there once, of one content, and the file is as it was."""
    found = verify_points(points(), lambda path: HASH)

    assert (found.documents, found.points, found.problems) == (1, 3, ())


@pytest.mark.parametrize(
    ("payloads", "kind"),
    [
        (points()[:2], "missing"),
        ([*points(), points()[1]], "duplicate"),
        ([*points(), {**points()[1], Field.ORDINAL: 5}], "duplicate"),
        ([*points(), {**points()[1], Field.FINGERPRINT: None}], "mixed"),
        (points(chunk_count="x"), "unfinished"),
        ([*points(2), *points(3, fingerprint="g")], "mixed"),
        (points(chunk_count=None), "unfinished"),
        (points(schema_version=0), "schema"),
    ],
)
def test_what_an_interrupted_ingest_leaves_is_found(
    payloads: list[dict[str, Any]], kind: str
) -> None:
    """Each has a name and says what to do."""
    assert kinds(payloads) == [kind]


@pytest.mark.parametrize(("sha256", "kind"), [("", "vanished"), ("b" * 64, "changed")])
def test_files_are_compared_with_what_is_stored(sha256: str, kind: str) -> None:
    """A store can be whole and yet of yesterday."""
    assert kinds(points(), sha256) == [kind]


def test_what_cannot_be_looked_at_is_no_problem() -> None:
    """Files behind a URL, and nodes that were indexed without a pipeline."""
    foreign = {Field.FILE_ID: "e", Field.FILE_PATH: "/b.pdf"}

    assert kinds([*points(), foreign], None) == []


def test_a_hostile_count_costs_nothing() -> None:
    """A store may be of others."""
    assert kinds([{**p, Field.CHUNK_COUNT: 10**12, Field.ORDINAL: [1]} for p in points()]) == [
        "duplicate",
        "missing",
    ]


def test_a_document_that_was_stored_and_is_not_there_is_found() -> None:
    """The journal remembers what the store has lost altogether."""
    found = verify_points(points(), lambda path: HASH, {"gone": "/gone.pdf", "d": "/a.pdf"})

    assert [(p.document_id, p.kind) for p in found.problems] == [("gone", "lost")]


def test_a_document_that_was_begun_and_is_not_stored_is_found() -> None:
    """With what to do; one of which an earlier content is stored is judged by that."""
    found = verify_points(points(), lambda path: HASH, {}, {"new": "/new.pdf", "d": "/a.pdf"})

    assert [(p.document_id, p.file, p.kind) for p in found.problems] == [
        ("new", "/new.pdf", "begun")
    ]
    assert "ingest it again, or" in found.problems[0].detail
