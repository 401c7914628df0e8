"""Groups stored points by document. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qdrant_client import models

from ..core.schema import Field

__all__ = [
    "DOCUMENT_FIELDS",
    "VERSION_FIELDS",
    "StoredDocument",
    "orphaned_ids",
    "stored_documents",
]

_NAMES = (Field.FILE_ID, Field.FILE_PATH, Field.FILE_NAME, Field.DOC_ID)

DOCUMENT_FIELDS = (*_NAMES, Field.PAGES, Field.TENANT)
"""The payload fields that :func:`stored_documents` reads."""

VERSION_FIELDS = (Field.FILE_ID, Field.FINGERPRINT, Field.CHUNK_COUNT, Field.INGESTED_AT)
"""The payload fields that :func:`orphaned_ids` reads."""


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document in a store.

    ``pages`` counts its pages with text and ``points`` its points. ``tenant`` owns it, or is None.
    """

    document_id: str
    file_name: str
    file_path: str
    pages: int
    points: int
    tenant: str | None = None


def stored_documents(records: Iterable[models.Record]) -> list[StoredDocument]:
    """Return the documents of points, sorted by path and name."""
    payloads: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for record in records:
        payload = record.payload or {}
        payloads[_document_key(payload)].append(payload)
    made = [_stored_document(key, found) for key, found in payloads.items()]
    return sorted(made, key=lambda document: (document.file_path, document.file_name))


def orphaned_ids(records: Iterable[models.Record]) -> list[str]:
    """Return the ids of points that interrupted replacements left.

    A version of a document is complete if all its points are there. If a document has a complete
    version, the points of all its versions but the newest complete one are orphans.
    """
    documents: dict[str, list[models.Record]] = defaultdict(list)
    for record in records:
        documents[str((record.payload or {}).get(Field.FILE_ID, ""))].append(record)
    return [orphan for found in documents.values() for orphan in _orphans(found)]


def _document_key(payload: Mapping[str, Any]) -> str:
    """Return what identifies a point's document; points of other programs lack some fields."""
    return next((str(payload[name]) for name in _NAMES if payload.get(name)), "")


def _stored_document(key: str, payloads: Sequence[Mapping[str, Any]]) -> StoredDocument:
    pages = (payload.get(Field.PAGES) for payload in payloads)
    tenant = payloads[0].get(Field.TENANT)
    return StoredDocument(
        document_id=key,
        file_name=str(payloads[0].get(Field.FILE_NAME) or ""),
        file_path=str(payloads[0].get(Field.FILE_PATH) or ""),
        pages=len({str(one) for listed in pages if isinstance(listed, list) for one in listed}),
        points=len(payloads),
        tenant=None if tenant is None else str(tenant),
    )


def _orphans(records: Sequence[models.Record]) -> list[str]:
    versions: dict[str, list[models.Record]] = defaultdict(list)
    for record in records:
        versions[str((record.payload or {}).get(Field.FINGERPRINT))].append(record)
    complete = {
        fingerprint: max(str((one.payload or {}).get(Field.INGESTED_AT, "")) for one in found)
        for fingerprint, found in versions.items()
        if all((one.payload or {}).get(Field.CHUNK_COUNT) == len(found) for one in found)
    }
    if not complete:
        return []
    newest = max(complete, key=lambda fingerprint: complete[fingerprint])
    return [
        str(record.id)
        for fingerprint, found in versions.items()
        if fingerprint != newest
        for record in found
    ]
