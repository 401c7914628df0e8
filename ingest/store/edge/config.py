"""Translates the settings of collections between qdrant-client and qdrant-edge. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import qdrant_edge as edge
from qdrant_client import models

from ...core.errors import NotSupported
from .folder import CollectionSpec

__all__ = ["index_schema", "info", "shard_config"]

# Chosen by measurement with 100,000 vectors of 384 numbers (benchmarks/retrieval/qdrant.py).
_M: Final = 16
_EF_CONSTRUCT: Final = 128
# An index is built from this many kilobytes of unindexed vectors on: 20,000 chunks of 384 numbers.
# A search compares fewer vectors one by one, which is exact and takes 3 ms. If there is an indexed
# segment already, qdrant-edge 0.9 waits for about twice as many.
_INDEXING_KB: Final = 30_000
_FULL_SCAN_KB: Final = 10_000

_TYPES: Final[Mapping[models.PayloadSchemaType, Any]] = {
    models.PayloadSchemaType(name.lower()): getattr(edge.PayloadSchemaType, name)
    for name in ("Keyword", "Integer", "Float", "Bool", "Datetime", "Text", "Uuid")
}


def shard_config(
    spec: CollectionSpec, hnsw: models.HnswConfigDiff | None, quantization: Any
) -> edge.EdgeConfig:
    """Return the layout of a collection's shard.

    Raises:
        NotSupported: the engine does not have this quantization.
    """
    asked = hnsw or models.HnswConfigDiff()
    return edge.EdgeConfig(
        vectors={name: _dense(params) for name, params in spec.vectors.items()},
        sparse_vectors={name: _sparse(params) for name, params in spec.sparse_vectors.items()},
        hnsw_config=edge.HnswIndexConfig(
            asked.m or _M, asked.ef_construct or _EF_CONSTRUCT, _FULL_SCAN_KB
        ),
        quantization_config=_quantization(quantization),
        # One segment besides the one for new points, so that a query searches one graph.
        optimizers=edge.EdgeOptimizersConfig(
            default_segment_number=1, indexing_threshold=_INDEXING_KB
        ),
    )


def index_schema(schema: models.PayloadSchemaType | models.KeywordIndexParams) -> Any:
    """Return the type or the options of a payload index.

    Raises:
        NotSupported: the engine does not have this type of index.
    """
    if isinstance(schema, models.KeywordIndexParams):
        return edge.KeywordIndexParams(is_tenant=schema.is_tenant)
    if schema not in _TYPES:
        raise NotSupported(f"the embedded engine has no payload index of type {schema!r}")
    return _TYPES[schema]


def info(spec: CollectionSpec, shard: Any) -> models.CollectionInfo:
    """Describe a collection as a server does."""
    state = shard.info()
    kinds = {value: key for key, value in _TYPES.items()}
    config = models.CollectionConfig(
        params=models.CollectionParams(vectors=spec.vectors, sparse_vectors=spec.sparse_vectors),
        hnsw_config=models.HnswConfig(
            m=_M, ef_construct=_EF_CONSTRUCT, full_scan_threshold=_FULL_SCAN_KB
        ),
        optimizer_config=models.OptimizersConfig(default_segment_number=1, flush_interval_sec=0),
        metadata=spec.metadata,
    )
    return models.CollectionInfo(
        status=models.CollectionStatus.GREEN,
        optimizer_status=models.OptimizersStatusOneOf.OK,
        points_count=state.points_count,
        indexed_vectors_count=state.indexed_vectors_count,
        segments_count=state.segments_count,
        config=config,
        payload_schema={
            key: models.PayloadIndexInfo(data_type=kinds[index.data_type], points=index.points)
            for key, index in state.payload_schema.items()
        },
    )


def _dense(params: models.VectorParams) -> edge.EdgeVectorParams:
    distance = getattr(edge.Distance, params.distance.value)
    memory = edge.Memory.Cold if params.on_disk else None
    return edge.EdgeVectorParams(params.size, distance, memory=memory)


def _sparse(params: models.SparseVectorParams) -> edge.EdgeSparseVectorParams:
    idf = params.modifier is models.Modifier.IDF
    return edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf if idf else None)


def _quantization(config: Any) -> Any:
    if config is None:
        return None
    if isinstance(config, models.ScalarQuantization):
        return edge.ScalarQuantizationConfig(
            edge.ScalarType.Int8,
            quantile=config.scalar.quantile,
            memory=edge.Memory.Pinned if config.scalar.always_ram else None,
        )
    if isinstance(config, models.BinaryQuantization):
        pinned = edge.Memory.Pinned if config.binary.always_ram else None
        return edge.BinaryQuantizationConfig(memory=pinned)
    raise NotSupported(f"the embedded engine does not support quantization {config!r:.100}")
