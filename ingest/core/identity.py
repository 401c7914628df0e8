"""Stable ids of documents, pages and chunks: equal inputs give equal ids on every machine."""

from __future__ import annotations

import uuid
from typing import Final

from .schema import NAMESPACE

__all__ = ["chunk_id", "document_id", "page_id", "parent_id", "point_id"]


_UUIDS: Final = uuid.UUID(NAMESPACE)


def _uuid(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:  # a file name that is not UTF-8
        return _hex_uuid(name)
    return str(uuid.uuid5(_UUIDS, name))


def _hex_uuid(key: str) -> str:
    # Broken PDF encodings yield lone surrogates, which UTF-8 cannot encode.
    return str(uuid.uuid5(_UUIDS, key.encode("utf-8", "surrogatepass").hex()))


def document_id(uri: str, sha256: str, tenant: str | None = None) -> str:
    """The id of a document, made from its location.

    An edited file stays the same document: the chunks of unchanged pages keep their ids, and
    only the others are written again. The same file of two tenants is two documents, so that
    one tenant's changes do not affect the other.

    Args:
        uri: location of the file; empty if it has none.
        sha256: of the file's bytes; decides if there is no location.
        tenant: owner of the document.
    """
    owner = "" if tenant is None else f"tenant:{tenant}\0"
    return _uuid(f"{owner}document:{uri or sha256}")


def page_id(document: str, index: int) -> str:
    """The id of one page of a document; ``index`` is 0-based."""
    return _uuid(f"page:{document}:{index}")


def chunk_id(document: str, page_index: int, embedded_text: str, repeat: int) -> str:
    """The id of a chunk.

    ``repeat`` counts the chunks with the same text that already begin on the 0-based page.
    Counting repeats instead of chunks keeps the ids of neighbours when a chunk is inserted.
    """
    return _hex_uuid(f"chunk:{document}:{page_index}:{repeat}:{embedded_text}")


def parent_id(document: str, kind: str, page_index: int, name: str, repeat: int) -> str:
    """The id of a section or page that is the parent of chunks.

    ``kind`` is ``"section"`` or ``"page"``. ``repeat`` counts the sections of this name that
    already begin on the 0-based page.
    """
    return _hex_uuid(f"{kind}:{document}:{page_index}:{repeat}:{name}")


def point_id(node_id: str) -> str:
    """The id of a node's point: the node's id, or a uuid made from it. Qdrant takes only uuids."""
    try:
        return str(uuid.UUID(node_id))
    except ValueError:
        return _uuid(f"node:{node_id}")
