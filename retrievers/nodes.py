"""Hits as LlamaIndex nodes."""

from __future__ import annotations

from contextlib import suppress

from llama_index.core.schema import TextNode
from llama_index.core.vector_stores.utils import metadata_dict_to_node

from .citations import cite
from .query import Hit

__all__ = ["CITATION_KEY", "CONTEXT_KEY", "node_of"]

CITATION_KEY = "citation"
"""Metadata of a found node: :meth:`opticalrag.retrievers.Citation.as_dict`."""

CONTEXT_KEY = "context"
"""Metadata of a node whose text was widened: ids of the chunks in it, and their pages."""


def node_of(hit: Hit) -> TextNode:
    """The node a hit was made of, with its citation; its text is the hit's context, if any.

    The citation stays that of the chunk that was found.
    """
    payload = dict(hit.payload)
    stored = None
    with suppress(ValueError, TypeError, KeyError):  # not written by LlamaIndex
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
    _add(node, CITATION_KEY, cite(hit).as_dict())
    if hit.context is not None:
        node.set_content(hit.context.text)
        chunks, pages = list(hit.context.chunk_ids), list(hit.context.pages)
        _add(node, CONTEXT_KEY, {"chunks": chunks, "pages": pages})
    return node


def _add(node: TextNode, key: str, value: object) -> None:
    """Metadata that is neither embedded nor shown to a language model."""
    node.metadata[key] = value
    node.excluded_embed_metadata_keys = [*node.excluded_embed_metadata_keys, key]
    node.excluded_llm_metadata_keys = [*node.excluded_llm_metadata_keys, key]
