"""Documents in, points in Qdrant out. Importing this loads no model and no vendor library."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# ONNX Runtime, which PyMuPDF imports, writes a session id into the temporary folder and knows a
# host for events. It looks at this when it is imported, in worker processes too.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from .config import (
        ChunkingConfig,
        CollectionOptions,
        LayoutConfig,
        OpticalConfig,
        PageLimits,
        TokenCacheConfig,
    )
    from .engines import load_model
    from .errors import OpticalRagError
    from .indexing import index_nodes
    from .node_parser import LayoutNodeParser
    from .pages import open_document
    from .pictures import draw_boxes
    from .pipeline import IngestPipeline, IngestReport
    from .reader import DeepSeekOCRReader
    from .store import QdrantStore
    from .token_cache import TokenCache
    from .types import Block, BlockKind, Box, Chunk, ParsedPage
    from .vector_store import OpticalVectorStore

_HOMES = {
    "Block": "types",
    "BlockKind": "types",
    "Box": "types",
    "Chunk": "types",
    "ChunkingConfig": "config",
    "CollectionOptions": "config",
    "DeepSeekOCRReader": "reader",
    "IngestPipeline": "pipeline",
    "IngestReport": "pipeline",
    "LayoutConfig": "config",
    "LayoutNodeParser": "node_parser",
    "OpticalRagError": "errors",
    "PageLimits": "config",
    "OpticalConfig": "config",
    "OpticalVectorStore": "vector_store",
    "ParsedPage": "types",
    "QdrantStore": "store",
    "TokenCache": "token_cache",
    "TokenCacheConfig": "config",
    "draw_boxes": "pictures",
    "index_nodes": "indexing",
    "load_model": "engines",
    "open_document": "pages",
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
