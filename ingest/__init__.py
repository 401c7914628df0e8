"""Reads documents and stores them in Qdrant.

Importing this package is cheap: models and third-party libraries load on first use.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .core.lazy import lazy_exports

__all__ = [
    "Block",
    "BlockKind",
    "Bm25Encoder",
    "Box",
    "CacheError",
    "CacheMiss",
    "Chunk",
    "ChunkingConfig",
    "CollectionOptions",
    "ConfigError",
    "DeepSeekOCRReader",
    "DocumentExaminer",
    "Embedder",
    "EmbeddingServerConfig",
    "EngineConfig",
    "EngineError",
    "Flag",
    "IngestEvent",
    "IngestOptions",
    "IngestPipeline",
    "IngestReport",
    "Journal",
    "LayoutConfig",
    "LayoutNodeParser",
    "LlamaIndexEmbedder",
    "OpticalConfig",
    "OpticalRagError",
    "OpticalVectorStore",
    "PageEngine",
    "PageFailure",
    "PageLimits",
    "PageMarkdown",
    "ParsedPage",
    "QdrantStore",
    "SentenceTransformerEmbedder",
    "ServerEmbedder",
    "SourceConfig",
    "SourceError",
    "SparseEncoder",
    "StoreConfig",
    "StoreError",
    "TokenCache",
    "TokenCacheConfig",
    "VllmConfig",
    "WorkLimits",
    "draw_boxes",
    "index_nodes",
    "load_model",
    "make_embedder",
    "make_engine",
    "open_document",
    "open_journal",
    "open_pipeline",
    "open_store",
    "page_markdown",
]

# PyMuPDF imports ONNX Runtime, which writes a session id into the temporary folder and can send
# events to a server. It reads this variable when it is imported, in worker processes too.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_EXPORTS = {
    "assembly": "open_journal open_pipeline open_store",
    "core.config": "ChunkingConfig CollectionOptions EngineConfig IngestOptions LayoutConfig"
    " OpticalConfig PageLimits SourceConfig StoreConfig TokenCacheConfig VllmConfig"
    " WorkLimits",
    "core.errors": "CacheError CacheMiss ConfigError EngineError OpticalRagError SourceError"
    " StoreError",
    "core.flags": "Flag",
    "core.protocols": "Embedder PageEngine SparseEncoder",
    "core.records": "Block BlockKind Box Chunk PageFailure ParsedPage",
    "core.servers": "EmbeddingServerConfig",
    "documents.drawing": "draw_boxes",
    "documents.examiner": "DocumentExaminer",
    "documents.pages": "open_document",
    "engines.choice": "load_model make_engine",
    "indexing.choice": "make_embedder",
    "indexing.sentence_transformer": "SentenceTransformerEmbedder",
    "indexing.llama_index_embedder": "LlamaIndexEmbedder",
    "indexing.server_embedder": "ServerEmbedder",
    "indexing.sparse": "Bm25Encoder",
    "llama_index.index_nodes": "index_nodes",
    "llama_index.node_parser": "LayoutNodeParser",
    "llama_index.reader": "DeepSeekOCRReader",
    "llama_index.vector_store": "OpticalVectorStore",
    "markdown.render": "PageMarkdown page_markdown",
    "pipeline.journal": "Journal",
    "pipeline.pipeline": "IngestPipeline",
    "pipeline.report": "IngestEvent IngestReport",
    "store.store": "QdrantStore",
    "token_cache.cache": "TokenCache",
}

if TYPE_CHECKING:
    from .assembly import open_journal, open_pipeline, open_store
    from .core.config import (
        ChunkingConfig,
        CollectionOptions,
        EngineConfig,
        IngestOptions,
        LayoutConfig,
        OpticalConfig,
        PageLimits,
        SourceConfig,
        StoreConfig,
        TokenCacheConfig,
        VllmConfig,
        WorkLimits,
    )
    from .core.errors import (
        CacheError,
        CacheMiss,
        ConfigError,
        EngineError,
        OpticalRagError,
        SourceError,
        StoreError,
    )
    from .core.flags import Flag
    from .core.protocols import Embedder, PageEngine, SparseEncoder
    from .core.records import Block, BlockKind, Box, Chunk, PageFailure, ParsedPage
    from .core.servers import EmbeddingServerConfig
    from .documents.drawing import draw_boxes
    from .documents.examiner import DocumentExaminer
    from .documents.pages import open_document
    from .engines.choice import load_model, make_engine
    from .indexing.choice import make_embedder
    from .indexing.llama_index_embedder import LlamaIndexEmbedder
    from .indexing.sentence_transformer import SentenceTransformerEmbedder
    from .indexing.server_embedder import ServerEmbedder
    from .indexing.sparse import Bm25Encoder
    from .llama_index.index_nodes import index_nodes
    from .llama_index.node_parser import LayoutNodeParser
    from .llama_index.reader import DeepSeekOCRReader
    from .llama_index.vector_store import OpticalVectorStore
    from .markdown.render import PageMarkdown, page_markdown
    from .pipeline.journal import Journal
    from .pipeline.pipeline import IngestPipeline
    from .pipeline.report import IngestEvent, IngestReport
    from .store.store import QdrantStore
    from .token_cache.cache import TokenCache
else:
    __getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)
