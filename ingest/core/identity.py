"""Ids that do not change: the same place and the same text give the same id, everywhere."""

from __future__ import annotations

import uuid
from functools import cache

from .schema import NAMESPACE

__all__ = ["chunk_id", "document_id", "page_id", "parent_id", "point_id"]


@cache
def _namespace() -> uuid.UUID:
    return uuid.UUID(NAMESPACE)


def _uuid(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:  # a file name that is not UTF-8
        name = name.encode("utf-8", "surrogatepass").hex()
    return str(uuid.uuid5(_namespace(), name))


def document_id(uri: str, sha256: str, tenant: str | None = None) -> str:
    """Identity of a document: where it was read from, or its bytes if it has no such place.

    By place, so that an edited file stays the same document: the chunks of its unchanged
    pages keep their ids and only the others are written anew. The same file of two tenants is two
    documents: what one of them edits or deletes stays with the other.
    """
    owner = "" if tenant is None else f"tenant:{tenant}\0"
    return _uuid(f"{owner}document:{uri or sha256}")


def page_id(document: str, index: int) -> str:
    """Identity of one page (0-based ``index``) of a document."""
    return _uuid(f"page:{document}:{index}")


def chunk_id(document: str, page_index: int, embedded_text: str, repeat: int) -> str:
    """Identity of a chunk.

    Args:
        document: identity of the document.
        page_index: 0-based page the chunk starts on.
        embedded_text: what is embedded.
        repeat: how many chunks with the same text already start on that page. Counting
            repeats instead of chunks keeps the ids of neighbours when one is inserted.
    """
    key = f"chunk:{document}:{page_index}:{repeat}:{embedded_text}"
    # Lone surrogates reach us from broken PDF encodings and have no UTF-8 form.
    return str(uuid.uuid5(_namespace(), key.encode("utf-8", "surrogatepass").hex()))


def parent_id(document: str, kind: str, page_index: int, name: str, repeat: int) -> str:
    """Identity of a section or page above chunks: where it begins and what it is called.

    Args:
        document: identity of the document.
        kind: ``"section"`` or ``"page"``.
        page_index: 0-based page it starts on.
        name: of the section.
        repeat: how many of this name already start on that page.
    """
    key = f"{kind}:{document}:{page_index}:{repeat}:{name}"
    return str(uuid.uuid5(_namespace(), key.encode("utf-8", "surrogatepass").hex()))


def point_id(node_id: str) -> str:
    """Identity of a node's point: Qdrant knows uuids only, any other id becomes one."""
    try:
        return str(uuid.UUID(node_id))
    except ValueError:
        return _uuid(f"node:{node_id}")
