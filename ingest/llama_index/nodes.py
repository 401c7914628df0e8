"""Chunks as LlamaIndex nodes, and nodes as payloads of points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from llama_index.core.schema import NodeRelationship, ObjectType, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.utils import node_to_metadata_dict

from ..core.identity import page_id
from ..core.records import Chunk
from ..core.schema import Field
from ..indexing.payload import LLM_KEYS, chunk_metadata
from ..markdown.render import PageMarkdown

__all__ = ["chunk_nodes", "node_payload", "related"]


def chunk_nodes(
    chunks: Sequence[Chunk],
    pages: Mapping[int, PageMarkdown],
    extra: Mapping[int, Mapping[str, Any]] | None = None,
) -> list[TextNode]:
    """Make LlamaIndex nodes from a document's chunks, linked to their page and their neighbours.

    ``pages`` are by 0-based index. So is ``extra``, the caller's metadata for the nodes that start
    on a page; our own fields win.
    """
    given = extra or {}
    nodes = [_node(chunk, pages, given.get(chunk.spans[0].index, {})) for chunk in chunks]
    for left, right in pairwise(nodes):
        left.relationships[NodeRelationship.NEXT] = related(right.node_id)
        right.relationships[NodeRelationship.PREVIOUS] = related(left.node_id)
    return nodes


def node_payload(node: TextNode) -> dict[str, Any]:
    """Make a node's Qdrant payload: LlamaIndex's own fields plus the plain text."""
    payload = node_to_metadata_dict(node, remove_text=False, flat_metadata=False)
    return {**payload, Field.TEXT: node.text}


def _node(chunk: Chunk, pages: Mapping[int, PageMarkdown], extra: Mapping[str, Any]) -> TextNode:
    metadata = {**extra, **chunk_metadata(chunk, pages)}
    keys = list(metadata)
    source = page_id(chunk.document.id, chunk.spans[0].index)
    return TextNode(
        id_=chunk.id,
        text=chunk.embedded_text,
        metadata=metadata,
        # The text already carries its context: metadata would only use up the embedder's tokens.
        excluded_embed_metadata_keys=keys,
        excluded_llm_metadata_keys=[key for key in keys if key not in LLM_KEYS],
        relationships={NodeRelationship.SOURCE: related(source, ObjectType.DOCUMENT)},
    )


def related(node_id: str, kind: ObjectType = ObjectType.TEXT) -> RelatedNodeInfo:
    """Refer to a node, without its metadata, which LlamaIndex would store a second time."""
    return RelatedNodeInfo(node_id=node_id, node_type=kind)
