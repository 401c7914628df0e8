"""What a store holds beside what it should hold: the proof after a crash. Pure.

A document is whole when its points were all made of the same bytes in the same way, are as many as
it has chunks, one for each place in the order of chunks, and its file still has these bytes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from ..core.schema import SCHEMA_VERSION, Field

__all__ = ["FIELDS", "Problem", "Verification", "verify"]

FIELDS: Final = (
    *(Field.FILE_ID, Field.FILE_NAME, Field.FILE_PATH, Field.FILE_SHA256, Field.ORDINAL),
    *(Field.CHUNK_COUNT, Field.FINGERPRINT, Field.SCHEMA),
)
"""Payload fields that are looked at."""

_LOST: Final = "was stored and is not there any more: ingest it again, or delete it"
_BEGUN: Final = "was begun and is not stored: ingest it again, or remove it by verify --clean"

Kind = Literal[
    "mixed",
    "missing",
    "duplicate",
    "unfinished",
    "schema",
    "changed",
    "vanished",
    "lost",
    "begun",
]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a stored document.

    ``kind``: ``mixed``, points of several contents, as an interrupted replacement leaves them;
    ``missing`` or ``duplicate`` (too many) chunks; ``unfinished``, pages of it failed; ``schema``,
    made by another version; ``changed`` or ``vanished``, its file; ``lost``, all of it, though the
    journal says that it was stored; ``begun``, it was not stored yet, because its run was cut off
    or goes on, or none of its pages could be read.
    """

    document_id: str
    file: str
    kind: Kind
    detail: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What was looked at, and what is wrong with it."""

    documents: int
    points: int
    problems: tuple[Problem, ...]


def verify(
    payloads: Iterable[Mapping[str, Any]],
    sha256_of: Callable[[str], str | None],
    recorded: Mapping[str, str] | None = None,
    begun: Mapping[str, str] | None = None,
) -> Verification:
    """Look at the payloads of all points.

    Args:
        payloads: of every point, with :data:`FIELDS`.
        sha256_of: the hash of the file at a path; empty if it is not there, None if it cannot be
            known, as of a URL.
        recorded: paths of the documents that should have points, by id.
        begun: of those whose pages were, or are, being read.
    """
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for payload in payloads:
        found[str(payload.get(Field.FILE_ID))].append(payload)
    # What index_nodes wrote has no count: nobody knows what is the whole of it.
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
        yield "schema", "was made by another version: ingest it again"
    contents = Counter(str(p.get(Field.FINGERPRINT)) for p in points)
    if len(contents) > 1:
        numbers = " + ".join(map(str, sorted(contents.values())))
        yield "mixed", f"{numbers} points of different contents: ingest it again"
        return
    count = points[0].get(Field.CHUNK_COUNT)
    if not isinstance(count, int):
        yield "unfinished", "some pages failed: ingest it again"
        return
    places = Counter(str(p.get(Field.ORDINAL)) for p in points)
    expected = {place for place in places if place.isdecimal() and int(place[:9]) < count}
    double = len(points) - len(expected)
    if double:
        yield "duplicate", f"{double} points are too many: delete it and ingest it again"
    if len(expected) < count:
        missing = count - len(expected)
        yield "missing", f"{missing} of {count} chunks are not there: ingest it again"


def _of_file(
    point: Mapping[str, Any], sha256_of: Callable[[str], str | None]
) -> Iterator[tuple[Kind, str]]:
    path = str(point.get(Field.FILE_PATH) or "")
    found = sha256_of(path) if path else None
    if found == "":
        yield "vanished", "its file is gone: delete it from the store, or put the file back"
    elif found is not None and found != point.get(Field.FILE_SHA256):
        yield "changed", "its file has other bytes than what is stored: ingest it again"
