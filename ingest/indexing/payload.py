"""Chunks as LlamaIndex nodes, and nodes as payloads of points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from llama_index.core.schema import NodeRelationship, ObjectType, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.utils import node_to_metadata_dict

from ..core.identity import page_id
from ..core.records import Chunk
from ..core.schema import SCHEMA_VERSION, Field
from ..markdown.render import PageMarkdown

__all__ = ["LLM_KEYS", "chunk_nodes", "node_payload"]

LLM_KEYS = frozenset({Field.FILE_NAME, Field.PAGE_LABEL})
"""Metadata shown to a language model beside the text; nothing is embedded with it."""


def chunk_nodes(
    chunks: Sequence[Chunk],
    pages: Mapping[int, PageMarkdown],
    extra: Mapping[int, Mapping[str, Any]] | None = None,
) -> list[TextNode]:
    """Make LlamaIndex nodes of a document's chunks, linked to their page and their neighbours.

    Args:
        chunks: chunks of one document, in order.
        pages: the document's pages by 0-based index, for their engine and flags.
        extra: metadata of the caller's by 0-based page, copied to the nodes that start there;
            ours wins.
    """
    given = extra or {}
    nodes = [_node(chunk, pages, given.get(chunk.spans[0].index, {})) for chunk in chunks]
    for left, right in pairwise(nodes):
        left.relationships[NodeRelationship.NEXT] = _related(right.node_id)
        right.relationships[NodeRelationship.PREVIOUS] = _related(left.node_id)
    return nodes


def node_payload(node: TextNode) -> dict[str, Any]:
    """The Qdrant payload of a node: LlamaIndex's own form plus the plain text."""
    payload = node_to_metadata_dict(node, remove_text=False, flat_metadata=False)
    return {**payload, Field.TEXT: node.text}


def _node(chunk: Chunk, pages: Mapping[int, PageMarkdown], extra: Mapping[str, Any]) -> TextNode:
    metadata = {**extra, **_chunk_metadata(chunk, pages)}
    keys = list(metadata)
    source = page_id(chunk.document.id, chunk.spans[0].index)
    return TextNode(
        id_=chunk.id,
        text=chunk.embedded_text,
        metadata=metadata,
        # The text carries its context; metadata would only eat the embedder's budget.
        excluded_embed_metadata_keys=keys,
        excluded_llm_metadata_keys=[key for key in keys if key not in LLM_KEYS],
        relationships={NodeRelationship.SOURCE: _related(source, ObjectType.DOCUMENT)},
    )


def _related(node_id: str, kind: ObjectType = ObjectType.TEXT) -> RelatedNodeInfo:
    # Without the neighbour's metadata: LlamaIndex would store all of it a second time.
    return RelatedNodeInfo(node_id=node_id, node_type=kind)


def _chunk_metadata(chunk: Chunk, pages: Mapping[int, PageMarkdown]) -> dict[str, Any]:
    document = chunk.document
    here = [pages[span.index] for span in chunk.spans]
    return {
        Field.FILE_NAME: document.name,
        Field.FILE_PATH: document.uri,
        Field.FILE_ID: document.id,
        Field.FILE_SHA256: document.sha256,
        Field.PAGES: list(chunk.pages),
        Field.PAGE_LABEL: chunk.spans[0].label,
        Field.PAGE_LABELS: [span.label for span in chunk.spans],
        Field.BOXES: [
            {"page": span.index + 1, "box": list(box.as_tuple())}
            for span in chunk.spans
            for box in span.boxes
        ],
        Field.SPANS: [
            {
                "page": span.index + 1,
                "ranges": [list(r) for r in span.ranges],
                "exact": span.exact,
                "blocks": list(span.blocks),
            }
            for span in chunk.spans
        ],
        Field.HEADING_PATH: list(chunk.heading_path),
        Field.SECTION: " > ".join(chunk.heading_path),
        Field.KIND: chunk.kinds[-1].value,
        Field.KINDS: [kind.value for kind in chunk.kinds],
        Field.LANGUAGE: chunk.language,
        Field.ENGINE: here[0].engine,
        Field.FLAGS: sorted({flag for page in here for flag in page.flags}),
        Field.TOKENS: chunk.tokens,
        Field.ORDINAL: chunk.ordinal,
        Field.SCHEMA: SCHEMA_VERSION,
    }
