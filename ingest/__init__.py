"""Documents in, points in Qdrant out. Importing this loads no model and no vendor library."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# ONNX Runtime, which PyMuPDF imports, writes a session id into the temporary folder and knows a
# host for events. It looks at this when it is imported, in worker processes too.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from .core.config import (
        ChunkingConfig,
        CollectionOptions,
        LayoutConfig,
        OpticalConfig,
        PageLimits,
        TokenCacheConfig,
    )
    from .core.errors import OpticalRagError
    from .core.records import Block, BlockKind, Box, Chunk, ParsedPage
    from .documents.drawing import draw_boxes
    from .documents.pages import open_document
    from .engines.choice import load_model
    from .llama_index.index_nodes import index_nodes
    from .llama_index.node_parser import LayoutNodeParser
    from .llama_index.reader import DeepSeekOCRReader
    from .llama_index.vector_store import OpticalVectorStore
    from .pipeline.pipeline import IngestPipeline, IngestReport
    from .store.store import QdrantStore
    from .token_cache.cache import TokenCache

_HOMES = {
    "Block": "core.records",
    "BlockKind": "core.records",
    "Box": "core.records",
    "Chunk": "core.records",
    "ChunkingConfig": "core.config",
    "CollectionOptions": "core.config",
    "DeepSeekOCRReader": "llama_index.reader",
    "IngestPipeline": "pipeline.pipeline",
    "IngestReport": "pipeline.pipeline",
    "LayoutConfig": "core.config",
    "LayoutNodeParser": "llama_index.node_parser",
    "OpticalRagError": "core.errors",
    "PageLimits": "core.config",
    "OpticalConfig": "core.config",
    "OpticalVectorStore": "llama_index.vector_store",
    "ParsedPage": "core.records",
    "QdrantStore": "store.store",
    "TokenCache": "token_cache.cache",
    "TokenCacheConfig": "core.config",
    "draw_boxes": "documents.drawing",
    "index_nodes": "llama_index.index_nodes",
    "load_model": "engines.choice",
    "open_document": "documents.pages",
}

__all__ = [
    "Block",
    "BlockKind",
    "Box",
    "Chunk",
    "ChunkingConfig",
    "CollectionOptions",
    "DeepSeekOCRReader",
    "IngestPipeline",
    "IngestReport",
    "LayoutConfig",
    "LayoutNodeParser",
    "OpticalConfig",
    "OpticalRagError",
    "OpticalVectorStore",
    "PageLimits",
    "ParsedPage",
    "QdrantStore",
    "TokenCache",
    "TokenCacheConfig",
    "draw_boxes",
    "index_nodes",
    "load_model",
    "open_document",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{home}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
