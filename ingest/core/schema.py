"""The names of the vectors and payload fields in Qdrant.

The payload of a point has the fields below and those of LlamaIndex (``_node_content``,
``_node_type``, ``doc_id``, ``document_id``, ``ref_doc_id``), so that its ``QdrantVectorStore``
and ours can read each other's points.
"""

from __future__ import annotations

from typing import Final

__all__ = ["DENSE", "INDEXED", "NAMESPACE", "SCHEMA_VERSION", "SPARSE", "Field"]

SCHEMA_VERSION: Final = 4
"""Increased when a field or a vector changes its meaning; stored in every point."""

NAMESPACE: Final = "6f70746c-7261-5067-8e5c-000000000001"
"""uuid5 namespace of document and chunk ids. Never change it: all ids would change."""

DENSE: Final = "dense"
SPARSE: Final = "sparse"


class Field:
    """Payload field names. Pages are 1-based; boxes are as in :class:`.records.Box`."""

    TEXT: Final = "text"
    FILE_NAME: Final = "file_name"
    FILE_PATH: Final = "file_path"
    FILE_SHA256: Final = "file_sha256"
    FILE_ID: Final = "file_id"
    """Id of the document (``DocumentRef.id``), unlike LlamaIndex's ``doc_id``, one per page."""
    PAGES: Final = "pages"
    PAGE_LABEL: Final = "page_label"
    """Printed label of the first page. The name is LlamaIndex's."""
    PAGE_LABELS: Final = "page_labels"
    BOXES: Final = "boxes"
    """List of ``{"page": n, "box": [x0, y0, x1, y1]}``."""
    SPANS: Final = "spans"
    """List of ``{"page", "ranges", "exact", "blocks"}``. A range is ``[start, end]``, character
    offsets into the page's Markdown."""
    HEADING_PATH: Final = "heading_path"
    SECTION: Final = "section"
    """The heading path as one string for filters: ``"A > B"``."""
    KIND: Final = "kind"
    KINDS: Final = "kinds"
    LANGUAGE: Final = "language"
    """ISO 639-1 code; empty if there is too little text to detect it."""
    ENGINE: Final = "engine"
    FLAGS: Final = "flags"
    FURNITURE: Final = "furniture"
    """Running heads and page numbers of the chunk's pages that are left out of the text."""
    TOKENS: Final = "tokens"
    """Tokens of the embedded text by the embedder's tokenizer; at least one per 16 characters."""
    ORDINAL: Final = "ordinal"
    CHUNK_COUNT: Final = "chunk_count"
    """Number of chunks of the document. It is complete when that many points exist."""
    FINGERPRINT: Final = "fingerprint"
    """Identifies the engine, chunking and embedding options that made the point."""
    SCHEMA: Final = "schema_version"
    TENANT: Final = "tenant"
    """Owner of the point in a shared collection; written by the store."""
    INGESTED_AT: Final = "ingested_at"
    """Time at which the document's current content was stored: RFC 3339, UTC, to the second."""
    DOC_ID: Final = "doc_id"
    """LlamaIndex's field: the id of the Document (here one page) from which a node was made."""


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
"""Payload indexes by Qdrant's type name. ``tenant`` is a keyword index that also stores the points
of a tenant together. Without an index, filters are slow, and servers in strict mode refuse
them."""
