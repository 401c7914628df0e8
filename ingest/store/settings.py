"""Settings of a collection: what our points need, and what a collection has. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from qdrant_client import models

from ..core.config import CollectionOptions
from ..core.errors import NotSupported
from ..core.protocols import SparseEncoder, VectorSpace
from ..core.schema import DENSE, INDEXED, SCHEMA_VERSION, SPARSE

__all__ = [
    "collection_settings",
    "differences",
    "made_for",
    "missing_indexes",
    "search_params",
    "vectors_of",
]

_SERVER_ONLY: Final = ("shard_number", "replication_factor", "write_consistency_factor")
_OVERSAMPLING: Final = 2.0  # quantised hits rescored per requested hit


def made_for(embedder: VectorSpace, sparse: SparseEncoder) -> dict[str, Any]:
    """Return the metadata that a collection for these models must have."""
    return {
        "schema_version": SCHEMA_VERSION,
        "embedder": embedder.name,
        "dimension": embedder.dimension,
        "distance": models.Distance.COSINE.value,
        "dense_vector": DENSE,
        "sparse_vector": SPARSE,
        "sparse_encoder": sparse.name,
    }


def vectors_of(info: models.CollectionInfo) -> dict[str, Any]:
    """Return a collection's metadata, corrected by the vectors that it really has."""
    params = info.config.params
    dense = params.vectors.get(DENSE) if isinstance(params.vectors, dict) else None
    sparse = (params.sparse_vectors or {}).get(SPARSE)
    return {
        **(info.config.metadata or {}),
        "dimension": dense and dense.size,
        "distance": dense and models.Distance(dense.distance).value,
        "dense_vector": DENSE if dense else None,
        "sparse_vector": SPARSE if sparse and sparse.modifier == models.Modifier.IDF else None,
    }


def differences(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return (key, stored value, wanted value) of each setting that differs."""
    return [
        (key, stored.get(key), value) for key, value in wanted.items() if stored.get(key) != value
    ]


def collection_settings(dimension: int, options: CollectionOptions, engine: str) -> dict[str, Any]:
    """Return the arguments of the client's ``create_collection``.

    Raises:
        NotSupported: an option that only a server has.
    """
    for name in _SERVER_ONLY:
        if engine != "server" and getattr(options, name) is not None:
            raise NotSupported(
                f"{name}={getattr(options, name)} needs a Qdrant server: omit it, or use a server"
            )
    given: dict[str, Any] = {
        **{name: getattr(options, name) for name in _SERVER_ONLY},
        "hnsw_config": _hnsw(options),
        "quantization_config": _quantization(options),
    }
    return {
        "vectors_config": {
            DENSE: models.VectorParams(
                size=dimension, distance=models.Distance.COSINE, on_disk=options.on_disk
            )
        },
        "sparse_vectors_config": {SPARSE: models.SparseVectorParams(modifier=models.Modifier.IDF)},
        **{name: value for name, value in given.items() if value is not None},
    }


def missing_indexes(stored: Collection[str]) -> dict[str, Any]:
    """Return the schemas of the payload indexes to create, by field."""
    return {name: _index(kind) for name, kind in INDEXED.items() if name not in stored}


def search_params(metadata: Mapping[str, Any]) -> models.SearchParams | None:
    """Return the search parameters: rescore quantised hits with the original vectors."""
    if not metadata.get("quantization"):
        return None
    again = models.QuantizationSearchParams(rescore=True, oversampling=_OVERSAMPLING)
    return models.SearchParams(quantization=again)


def _index(kind: str) -> models.PayloadSchemaType | models.KeywordIndexParams:
    if kind == "tenant":
        return models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True)
    return models.PayloadSchemaType(kind)


def _hnsw(options: CollectionOptions) -> models.HnswConfigDiff | None:
    if options.hnsw_m is None and options.hnsw_ef_construct is None:
        return None
    return models.HnswConfigDiff(m=options.hnsw_m, ef_construct=options.hnsw_ef_construct)


def _quantization(
    options: CollectionOptions,
) -> models.ScalarQuantization | models.BinaryQuantization | None:
    if options.quantization == "scalar":
        return models.ScalarQuantization(
            scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, always_ram=True)
        )
    if options.quantization == "binary":
        return models.BinaryQuantization(binary=models.BinaryQuantizationConfig(always_ram=True))
    return None
