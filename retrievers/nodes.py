"""Turns hits into LlamaIndex nodes."""

from __future__ import annotations

from contextlib import suppress

from llama_index.core.schema import TextNode
from llama_index.core.vector_stores.utils import metadata_dict_to_node

from .citations import cite
from .query import Hit

__all__ = ["CITATION_KEY", "CONTEXT_KEY", "hit_to_node"]

CITATION_KEY = "citation"
"""Metadata key of the citation: :meth:`opticalrag.retrievers.Citation.as_dict`."""

CONTEXT_KEY = "context"
"""Metadata key of a node with context: the ids and pages of the chunks in its text."""


def hit_to_node(hit: Hit) -> TextNode:
    """Rebuild the stored node of a hit and add its citation.

    If the hit has context, the context becomes the node's text. The citation still describes the
    chunk that was found.
    """
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
    _add_metadata(node, CITATION_KEY, cite(hit).as_dict())
    if hit.context is not None:
        node.set_content(hit.context.text)
        chunks, pages = list(hit.context.chunk_ids), list(hit.context.pages)
        _add_metadata(node, CONTEXT_KEY, {"chunks": chunks, "pages": pages})
    return node


def _add_metadata(node: TextNode, key: str, value: object) -> None:
    """Add metadata that is neither embedded nor sent to a language model."""
    node.metadata[key] = value
    node.excluded_embed_metadata_keys = [*node.excluded_embed_metadata_keys, key]
    node.excluded_llm_metadata_keys = [*node.excluded_llm_metadata_keys, key]
