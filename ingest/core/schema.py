"""Names of everything stored in Qdrant: vectors and payload fields, in one place.

The payload of a point is the metadata of the LlamaIndex node it came from plus what
LlamaIndex itself adds (``_node_content``, ``_node_type``, ``doc_id``, ``document_id``,
``ref_doc_id``), so that ``QdrantVectorStore`` reads our points and we read its.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "DENSE",
    "INDEXED",
    "NAMESPACE",
    "SCHEMA_VERSION",
    "SPARSE",
    "Field",
]

SCHEMA_VERSION: Final = 2
"""Raised when a field changes its meaning; recorded in every point."""

NAMESPACE: Final = "6f70746c-7261-5067-8e5c-000000000001"
"""uuid5 namespace of document and chunk ids. Never change it: ids would no longer match."""

DENSE: Final = "dense"
SPARSE: Final = "sparse"


class Field:
    """Payload field names. Pages are 1-based; boxes as in :class:`..types.Box`."""

    TEXT: Final = "text"
    FILE_NAME: Final = "file_name"
    FILE_PATH: Final = "file_path"
    FILE_SHA256: Final = "file_sha256"
    FILE_ID: Final = "file_id"
    """Identity of the document (``DocumentRef.id``); ``doc_id`` is LlamaIndex's, one per page."""
    PAGES: Final = "pages"
    PAGE_LABEL: Final = "page_label"
    """Printed label of the first page (LlamaIndex's own name for it)."""
    PAGE_LABELS: Final = "page_labels"
    BOXES: Final = "boxes"
    """List of ``{"page": n, "box": [x0, y0, x1, y1]}``."""
    SPANS: Final = "spans"
    """List of ``{"page", "ranges", "exact", "blocks"}``: ``[start, end]`` into page Markdown."""
    HEADING_PATH: Final = "heading_path"
    SECTION: Final = "section"
    """The heading path as one string, ``"A > B"``, to filter by."""
    KIND: Final = "kind"
    KINDS: Final = "kinds"
    LANGUAGE: Final = "language"
    """ISO 639-1 code, or empty where there is too little text to tell."""
    ENGINE: Final = "engine"
    FLAGS: Final = "flags"
    TOKENS: Final = "tokens"
    """Of the embedded text, by the embedder's tokenizer; at least one for 16 characters."""
    ORDINAL: Final = "ordinal"
    CHUNK_COUNT: Final = "chunk_count"
    """Chunks of the whole document: a document is complete when that many points exist."""
    FINGERPRINT: Final = "fingerprint"
    """Engine, chunking and embedding options that made the point."""
    SCHEMA: Final = "schema_version"
    TENANT: Final = "tenant"
    """Whose point it is, where several share a collection; written by the store."""
    INGESTED_AT: Final = "ingested_at"
    """When the document's present content was stored: RFC 3339, UTC, to the second."""
    DOC_ID: Final = "doc_id"
    """LlamaIndex's: the Document (one page, or one of another reader's) a node came from."""


INDEXED: Final[dict[str, str]] = {
    Field.FILE_ID: "keyword",
    Field.FILE_NAME: "keyword",
    Field.FILE_PATH: "keyword",
    Field.FILE_SHA256: "keyword",
    Field.FINGERPRINT: "keyword",
    Field.PAGES: "integer",
    Field.PAGE_LABEL: "keyword",
    Field.SECTION: "keyword",
    Field.KIND: "keyword",
    Field.KINDS: "keyword",
    Field.LANGUAGE: "keyword",
    Field.FLAGS: "keyword",
    Field.ENGINE: "keyword",
    Field.DOC_ID: "keyword",
    Field.TENANT: "tenant",
    Field.INGESTED_AT: "datetime",
}
"""Payload indexes, by Qdrant's type name (``tenant``: a keyword by which points are stored
together): a filter on an unindexed field is refused by servers in strict mode and slow
elsewhere."""
