from __future__ import annotations

from typing import Any

import pytest

from opticalrag.ingest.core.schema import SCHEMA_VERSION, Field
from opticalrag.ingest.maintenance.verification import verify_points

HASH = "a" * 64


def points(count: int = 3, **changes: Any) -> list[dict[str, Any]]:
    """Payloads of a complete document."""
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


def test_a_complete_document_has_no_problem() -> None:
    """Each chunk has one point, all have one fingerprint, and the file is unchanged."""
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
def test_the_remains_of_an_interrupted_ingest_are_problems(
    payloads: list[dict[str, Any]], kind: str
) -> None:
    """Each has its own kind."""
    assert kinds(payloads) == [kind]


@pytest.mark.parametrize(("sha256", "kind"), [("", "vanished"), ("b" * 64, "changed")])
def test_changed_and_missing_files_are_problems(sha256: str, kind: str) -> None:
    """A complete store can be outdated."""
    assert kinds(points(), sha256) == [kind]


def test_documents_that_cannot_be_checked_have_no_problem() -> None:
    """Files at URLs, and nodes indexed without a pipeline."""
    foreign = {Field.FILE_ID: "e", Field.FILE_PATH: "/b.pdf"}

    assert kinds([*points(), foreign], None) == []


def test_a_hostile_count_is_harmless() -> None:
    """Somebody else may have written the store."""
    assert kinds([{**p, Field.CHUNK_COUNT: 10**12, Field.ORDINAL: [1]} for p in points()]) == [
        "duplicate",
        "missing",
    ]


def test_a_lost_document_is_a_problem() -> None:
    """The journal records it, but the store has none of its points."""
    found = verify_points(points(), lambda path: HASH, {"gone": "/gone.pdf", "d": "/a.pdf"})

    assert [(p.document_id, p.kind) for p in found.problems] == [("gone", "lost")]


def test_a_begun_document_is_a_problem() -> None:
    """Unless an earlier version of it is stored."""
    found = verify_points(points(), lambda path: HASH, {}, {"new": "/new.pdf", "d": "/a.pdf"})

    assert [(p.document_id, p.file, p.kind) for p in found.problems] == [
        ("new", "/new.pdf", "begun")
    ]
    assert "ingest it again, or" in found.problems[0].detail
