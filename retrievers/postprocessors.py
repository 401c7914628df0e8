"""Our search stages for any retriever of LlamaIndex's: reranking and wider context."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from llama_index.core.bridge.pydantic import Field as PydanticField
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle

from ..ingest.core.identity import point_id
from ..ingest.store.store import QdrantStore
from .context import stored_hits, with_context, without_covered
from .nodes import node_of
from .query import ContextKind, Query
from .rerank import CrossEncoderReranker

__all__ = ["CrossEncoderRerank", "WiderContext"]


class CrossEncoderRerank(BaseNodePostprocessor):
    """Orders nodes anew by a cross-encoder that reads each with the question.

    Unlike LlamaIndex's ``SentenceTransformerRerank`` (0.14) it runs no code of a model repository,
    takes safetensors only, reads the text without metadata, and leaves the nodes it was given as
    they are.

    Example:
        >>> rerank = CrossEncoderRerank(CrossEncoderReranker("models/reranker"), top_n=5)
        >>> index.as_query_engine(similarity_top_k=30, node_postprocessors=[rerank])
    """

    top_n: int = PydanticField(default=5, ge=1, description="How many nodes are returned.")
    _reranker: CrossEncoderReranker = PrivateAttr()

    def __init__(self, reranker: CrossEncoderReranker | str, **options: Any) -> None:
        super().__init__(**options)
        self._reranker = CrossEncoderReranker(reranker) if isinstance(reranker, str) else reranker

    @classmethod
    def class_name(cls) -> str:
        """Name under which LlamaIndex knows this postprocessor."""
        return "CrossEncoderRerank"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if query_bundle is None or not query_bundle.query_str.strip():
            return nodes[: self.top_n]
        texts = [found.node.get_content(MetadataMode.NONE) for found in nodes]
        scores = self._reranker.scores(query_bundle.query_str, texts)
        scored = [
            NodeWithScore(node=found.node, score=score)
            for found, score in zip(nodes, scores, strict=True)
        ]
        return sorted(scored, key=lambda found: -(found.score or 0.0))[: self.top_n]


class WiderContext(BaseNodePostprocessor):
    """Gives each node the text that stands around it in the store: small to big.

    A node whose text an earlier one holds already is left out; nodes that are not in the store
    stay as they are. Citations stay those of the chunks that were found.

    Example:
        >>> index.as_query_engine(node_postprocessors=[WiderContext(store, kind="section")])
    """

    kind: ContextKind = PydanticField(
        default="neighbours", description="'neighbours', 'section' or 'page'."
    )
    max_chars: int = PydanticField(
        default=4000, ge=1, description="The longest text of a node, in characters."
    )
    _store: QdrantStore = PrivateAttr()

    def __init__(self, store: QdrantStore, **options: Any) -> None:
        super().__init__(**options)
        self._store = store

    @classmethod
    def class_name(cls) -> str:
        """Name under which LlamaIndex knows this postprocessor."""
        return "WiderContext"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        scores = {point_id(found.node.node_id): found.score for found in nodes}
        stored = stored_hits(self._store, scores)
        query = Query("?", context=self.kind, context_chars=self.max_chars)
        wanted = [
            replace(stored[key], score=score or 0.0)
            for key, score in scores.items()
            if key in stored
        ]
        kept = without_covered(with_context(self._store, wanted, query))
        wider = {hit.id: NodeWithScore(node=node_of(hit), score=scores[hit.id]) for hit in kept}
        return [
            wider.get(key, found)
            for key, found in ((point_id(found.node.node_id), found) for found in nodes)
            if key in wider or key not in stored
        ]
