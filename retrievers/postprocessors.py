"""LlamaIndex node postprocessors: reranking and wider context, for any retriever."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from llama_index.core.bridge.pydantic import Field as PydanticField
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle

from ..ingest.core.identity import point_id
from ..ingest.store.store import QdrantStore
from .context import add_context, drop_covered, load_hits
from .nodes import hit_to_node
from .query import ContextKind, Query
from .rerank import CrossEncoderReranker

__all__ = ["CrossEncoderRerank", "WiderContext"]


class CrossEncoderRerank(BaseNodePostprocessor):
    """Reorders nodes by a cross-encoder, which scores each node together with the question.

    It differs from LlamaIndex's ``SentenceTransformerRerank`` (0.14): it never runs code from a
    model repository, loads safetensors only, scores the text without metadata, and does not modify
    the nodes it gets.

    Example:
        >>> rerank = CrossEncoderRerank(CrossEncoderReranker("models/reranker"), top_n=5)
        >>> index.as_query_engine(similarity_top_k=30, node_postprocessors=[rerank])
    """

    top_n: int = PydanticField(default=5, ge=1, description="Number of nodes to return.")
    _reranker: CrossEncoderReranker = PrivateAttr()

    def __init__(self, reranker: CrossEncoderReranker | str, **options: Any) -> None:
        super().__init__(**options)
        self._reranker = CrossEncoderReranker(reranker) if isinstance(reranker, str) else reranker

    @classmethod
    def class_name(cls) -> str:
        """The name that LlamaIndex serialises."""
        return "CrossEncoderRerank"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if query_bundle is None or not query_bundle.query_str.strip():
            return nodes[: self.top_n]
        texts = [found.node.get_content(MetadataMode.NONE) for found in nodes]
        scores = self._reranker.scores(query_bundle.query_str, texts)
        ranked = sorted(zip(scores, nodes, strict=True), key=lambda pair: -pair[0])
        return [NodeWithScore(node=it.node, score=score) for score, it in ranked[: self.top_n]]


class WiderContext(BaseNodePostprocessor):
    """Adds the surrounding text from the store to each node ("small to big" retrieval).

    Drops a node if an earlier one already contains its text. Nodes that are not in the store stay
    unchanged. Citations still describe the chunks that were found.

    Example:
        >>> index.as_query_engine(node_postprocessors=[WiderContext(store, kind="section")])
    """

    kind: ContextKind = PydanticField(
        default="neighbours", description="'neighbours', 'section' or 'page'."
    )
    max_chars: int = PydanticField(
        default=4000, ge=1, description="Maximum length of a node's text, in characters."
    )
    _store: QdrantStore = PrivateAttr()

    def __init__(self, store: QdrantStore, **options: Any) -> None:
        super().__init__(**options)
        self._store = store

    @classmethod
    def class_name(cls) -> str:
        """The name that LlamaIndex serialises."""
        return "WiderContext"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        ids = [point_id(found.node.node_id) for found in nodes]
        scores = {key: found.score for key, found in zip(ids, nodes, strict=True)}
        stored = load_hits(self._store, scores)
        query = Query("?", context=self.kind, context_chars=self.max_chars)
        wanted = [replace(stored[key], score=scores[key] or 0.0) for key in scores if key in stored]
        kept = drop_covered(add_context(self._store, wanted, query))
        wider = {hit.id: NodeWithScore(node=hit_to_node(hit), score=scores[hit.id]) for hit in kept}
        return [
            wider.get(key, found)
            for key, found in zip(ids, nodes, strict=True)
            if key in wider or key not in stored
        ]
