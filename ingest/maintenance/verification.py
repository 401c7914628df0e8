"""Compares stored points with what a store should hold. Pure.

A document is complete if all its points have the same fingerprint, each of its chunks has exactly
one point, and its file still has the hash that was stored.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from ..core.schema import SCHEMA_VERSION, Field

__all__ = ["FIELDS", "Problem", "Verification", "verify_points"]

FIELDS: Final = (
    Field.FILE_ID,
    Field.FILE_NAME,
    Field.FILE_PATH,
    Field.FILE_SHA256,
    Field.ORDINAL,
    Field.CHUNK_COUNT,
    Field.FINGERPRINT,
    Field.SCHEMA,
)
"""The payload fields that :func:`verify_points` reads."""

_LOST: Final = "was stored but is missing now: ingest it again, or delete it"
_BEGUN: Final = "was begun but is not stored: ingest it again, or remove it with verify --clean"

Kind = Literal[
    "mixed", "missing", "duplicate", "unfinished", "schema", "changed", "vanished", "lost", "begun"
]


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem of one stored document.

    Values of ``kind``:

    - ``mixed``: points of several contents, left by an interrupted replacement;
    - ``missing``, ``duplicate``: too few or too many points;
    - ``unfinished``: some pages failed;
    - ``schema``: stored by another version;
    - ``changed``, ``vanished``: the file changed or is gone;
    - ``lost``: the journal says that the document was stored, but it has no point;
    - ``begun``: nothing is stored yet. The run was interrupted, or goes on, or could not read any
      page.
    """

    document_id: str
    file: str
    kind: Kind
    detail: str


@dataclass(frozen=True, slots=True)
class Verification:
    """How many documents and points were compared, and their problems."""

    documents: int
    points: int
    problems: tuple[Problem, ...]


def verify_points(
    payloads: Iterable[Mapping[str, Any]],
    sha256_of: Callable[[str], str | None],
    recorded: Mapping[str, str] | None = None,
    begun: Mapping[str, str] | None = None,
) -> Verification:
    """Find documents that are incomplete, inconsistent or outdated.

    ``payloads`` are those of all points, with :data:`FIELDS`. ``sha256_of`` hashes the file at a
    path: empty if it is gone, None if it cannot be read, such as a URL. ``recorded`` has the paths
    of the documents that should have points, by id; ``begun`` those that were not finished.
    """
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for payload in payloads:
        found[str(payload.get(Field.FILE_ID))].append(payload)
    # Points from index_nodes have no fingerprint and no count: they cannot be checked.
    documents = {
        key: points
        for key, points in found.items()
        if any(Field.FINGERPRINT in point for point in points)
    }
    named = sorted((_name(points), key) for key, points in documents.items())
    problems = [
        Problem(key, name, kind, detail)
        for name, key in named
        for points in (documents[key],)
        for kind, detail in (*_of_points(points), *_of_file(points[0], sha256_of))
    ]
    problems += _absent(recorded or {}, documents, "lost", _LOST)
    problems += _absent(begun or {}, documents, "begun", _BEGUN)
    return Verification(len(documents), sum(map(len, documents.values())), tuple(problems))


def _absent(
    recorded: Mapping[str, str], documents: Collection[str], kind: Kind, detail: str
) -> Iterator[Problem]:
    for key, path in recorded.items():
        if key not in documents:
            yield Problem(key, path, kind, detail)


def _name(points: Sequence[Mapping[str, Any]]) -> str:
    return str(points[0].get(Field.FILE_PATH) or points[0].get(Field.FILE_NAME) or "")


def _of_points(points: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Kind, str]]:
    if any(p.get(Field.SCHEMA) != SCHEMA_VERSION for p in points):
        yield "schema", "was stored by another version: ingest it again"
    contents = Counter(str(p.get(Field.FINGERPRINT)) for p in points)
    if len(contents) > 1:
        numbers = " + ".join(map(str, sorted(contents.values())))
        yield "mixed", f"{numbers} points of different contents: ingest it again"
        return
    count = points[0].get(Field.CHUNK_COUNT)
    if not isinstance(count, int):
        yield "unfinished", "some pages failed: ingest it again"
        return
    ordinals = {str(p.get(Field.ORDINAL)) for p in points}
    expected = {one for one in ordinals if one.isdecimal() and int(one[:9]) < count}
    double = len(points) - len(expected)
    if double:
        yield "duplicate", f"{double} points too many: delete it and ingest it again"
    if len(expected) < count:
        missing = count - len(expected)
        yield "missing", f"{missing} of {count} chunks are missing: ingest it again"


def _of_file(
    point: Mapping[str, Any], sha256_of: Callable[[str], str | None]
) -> Iterator[tuple[Kind, str]]:
    path = str(point.get(Field.FILE_PATH) or "")
    found = sha256_of(path) if path else None
    if found == "":
        yield "vanished", "its file is gone: delete the document, or put the file back"
    elif found is not None and found != point.get(Field.FILE_SHA256):
        yield "changed", "its file changed after it was stored: ingest it again"
