"""Turns hits into LlamaIndex nodes."""

from __future__ import annotations

from contextlib import suppress

from llama_index.core.schema import BaseNode, TextNode
from llama_index.core.vector_stores.utils import metadata_dict_to_node

from .citations import cite
from .query import Hit

__all__ = ["CITATION_KEY", "CONTEXT_KEY", "add_metadata", "hit_to_node"]

CITATION_KEY = "citation"
"""Metadata key of the citation: :meth:`opticalrag.retrievers.Citation.as_dict`."""

CONTEXT_KEY = "context"
"""Metadata key of a node with context: the ids and pages of the chunks in its text."""


def hit_to_node(hit: Hit) -> TextNode:
    """Rebuild the stored node of a hit, with its citation; a hit's context becomes its text."""
    payload = dict(hit.payload)
    stored = None
    with suppress(ValueError, TypeError, KeyError):  # a point that LlamaIndex did not write
        stored = metadata_dict_to_node(payload)
    node = (
        stored
        if isinstance(stored, TextNode)
        else TextNode(
            id_=stored.node_id if stored else hit.id,
            text=stored.get_content() if stored else hit.text,
            metadata=stored.metadata if stored else payload,
        )
    )
    add_metadata(node, CITATION_KEY, cite(hit).as_dict())
    if hit.context is not None:
        node.set_content(hit.context.text)
        chunks, pages = list(hit.context.chunk_ids), list(hit.context.pages)
        add_metadata(node, CONTEXT_KEY, {"chunks": chunks, "pages": pages})
    return node


def add_metadata(node: BaseNode, key: str, value: object) -> None:
    """Add metadata that is neither embedded nor sent to a language model."""
    node.metadata[key] = value
    node.excluded_embed_metadata_keys = [*node.excluded_embed_metadata_keys, key]
    node.excluded_llm_metadata_keys = [*node.excluded_llm_metadata_keys, key]
