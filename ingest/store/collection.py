"""Creates, verifies, aliases and deletes collections. Knows nothing of the points in them.

:class:`.store.QdrantStore` documents the errors.
"""

from __future__ import annotations

from operator import methodcaller
from typing import Any

from qdrant_client import models

from ..core.config import CollectionOptions
from ..core.errors import ConfigError, SchemaMismatch, StoreError
from ..core.protocols import SparseEncoder, VectorSpace
from .connection import Connection
from .edge.folder import is_collection_name
from .settings import collection_settings, differences, made_for, missing_indexes, vectors_of

__all__ = [
    "check_collection_name",
    "collection_exists",
    "collection_info",
    "create_collection",
    "create_indexes",
    "delete_collection",
    "list_aliases",
    "switch_alias",
    "verify_collection",
]


def check_collection_name(name: str) -> None:
    """Require a name that every engine accepts: in a folder it names a folder."""
    if not is_collection_name(name):
        raise ConfigError(
            f"invalid collection name {name!r:.80}: use letters, digits and - _ . (at most 200"
            " bytes in UTF-8; not aliases.json)"
        )


def collection_exists(connection: Connection, name: str) -> bool:
    """Whether a collection, or an alias of one, has this name."""
    return bool(connection.call(lambda client: client.collection_exists(name)))


def collection_info(connection: Connection, name: str) -> models.CollectionInfo:
    """Return the settings and counts of a collection."""
    info: models.CollectionInfo = connection.call(lambda client: client.get_collection(name))
    return info


def create_collection(
    connection: Connection,
    name: str,
    embedder: VectorSpace,
    sparse: SparseEncoder,
    options: CollectionOptions,
) -> None:
    """Create a collection for the vectors of two models.

    Does nothing if another process creates it at the same time; verify it afterwards.
    """
    settings = collection_settings(embedder.dimension, options, connection.engine)
    metadata = made_for(embedder, sparse)
    if options.quantization:
        metadata["quantization"] = options.quantization

    def create(client: Any) -> None:
        # A retried request may have succeeded the first time.
        if not client.collection_exists(name):
            client.create_collection(name, metadata=metadata, **settings)

    try:
        connection.call(create)
    except StoreError:
        if not collection_exists(connection, name):  # else another process created it
            raise


def verify_collection(
    connection: Connection, name: str, embedder: VectorSpace, sparse: SparseEncoder
) -> None:
    """Check that a collection holds vectors of these models."""
    info = collection_info(connection, name)
    wrong = differences(vectors_of(info), made_for(embedder, sparse))
    if wrong:
        has = ", ".join(f"{key}={stored!r}" for key, stored, _ in wrong)
        needs = ", ".join(f"{key}={wanted!r}" for key, _, wanted in wrong)
        old = any(key == "schema_version" for key, *_ in wrong)
        remedy = "ingest again into" if old else "use the model it was made with, or"
        raise SchemaMismatch(
            f"the collection {name!r} at {connection.location} has {has}, not {needs}: {remedy}"
            f" another collection such as {name + '-2'!r}"
        )


def create_indexes(connection: Connection, name: str) -> None:
    """Create the payload indexes that a collection lacks."""
    if connection.engine == "memory":  # filters without indexes, and warns when one is created
        return
    stored = collection_info(connection, name).payload_schema
    for field, schema in missing_indexes(stored).items():
        request = {"field_name": field, "field_schema": schema, "wait": True}
        connection.call(methodcaller("create_payload_index", name, **request))


def list_aliases(connection: Connection) -> dict[str, str]:
    """Return the collections by alias."""
    found = connection.call(lambda client: client.get_aliases()).aliases
    return {one.alias_name: one.collection_name for one in found}


def switch_alias(connection: Connection, name: str, alias: str) -> None:
    """Point an alias to a collection, given by its name or another alias, in one request."""
    check_collection_name(alias)
    stored = list_aliases(connection)
    target = models.CreateAlias(collection_name=stored.get(name, name), alias_name=alias)
    changes: list[Any] = [models.CreateAliasOperation(create_alias=target)]
    if alias in stored:
        old = models.DeleteAlias(alias_name=alias)
        changes.insert(0, models.DeleteAliasOperation(delete_alias=old))
    connection.call(lambda client: client.update_collection_aliases(changes))


def delete_collection(connection: Connection, name: str) -> None:
    """Delete a collection, or the collection that an alias names, with its points and aliases."""
    target = list_aliases(connection).get(name, name)
    connection.call(lambda client: client.delete_collection(target))
