"""The collection of a store: made, verified, named, copied. Knows nothing of the points in it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from qdrant_client import models

from ..core.errors import NotSupported, SchemaMismatch, StoreError
from ..core.protocols import SparseEncoder, VectorSpace
from .connection import StoreConnection, check_collection
from .settings import (
    collection_settings,
    differences,
    made_for,
    missing_indexes,
    search_params,
    vectors_of,
)

__all__ = ["CollectionStore"]


class CollectionStore(StoreConnection):
    """A place of points whose collection can be made, verified, switched and copied."""

    def exists(self) -> bool:
        """Whether the collection has been made."""
        return bool(self.call(lambda: self.client.collection_exists(self.collection)))

    def ensure(self, embedder: VectorSpace, sparse: SparseEncoder) -> None:
        """Make the collection for these vectors, or verify that it holds them.

        Payload indexes are made before the first point is written, and those that an older or
        interrupted run left out are added.

        Raises:
            SchemaMismatch: it was made for others.
            NotSupported: it is to have what this engine has not.
        """
        if not self.exists():
            self._create(embedder, sparse)
        self.verify(embedder, sparse)
        # The client's own memory filters without indexes, and warns when one is made.
        if self.engine != "memory":
            for name, schema in missing_indexes(self._info().payload_schema).items():
                self._index(name, schema)

    def verify(self, embedder: VectorSpace, sparse: SparseEncoder) -> None:
        """Check that the collection holds vectors of these models.

        Raises:
            SchemaMismatch: it holds others.
        """
        wrong = differences(vectors_of(self._info()), made_for(embedder, sparse))
        if wrong:
            has = ", ".join(f"{key}={stored!r}" for key, stored, _ in wrong)
            needs = ", ".join(f"{key}={wanted!r}" for key, _, wanted in wrong)
            raise SchemaMismatch(
                f"the collection {self.collection!r} at {self.location} has {has}, but {needs}"
                " is asked for: use the model it was made with (--model), or ingest into another"
                f" collection: opticalrag ingest FILES --qdrant {self.location}"
                f" --collection {self.collection}-2"
            )

    def embedder_name(self) -> str | None:
        """Name of the embedding model the collection was made with; None if there is none."""
        if not self.exists():
            return None
        name = (self._info().config.metadata or {}).get("embedder")
        return None if name is None else str(name)

    def switch_alias(self, alias: str) -> None:
        """Let an alias mean this store's collection from now on, in one step.

        So documents are indexed anew with another model without a gap: ingest into a new
        collection, then switch the alias that is searched. Of a store that was opened by an alias
        it is the collection which that names now.

        Raises:
            ConfigError: no collection can have this name.
            StoreError: it is a collection's name, or this store's collection is not there.
            NotSupported: the store is opened for a tenant.
        """
        check_collection(alias)
        self._refuse_tenant("switch an alias")
        stored = self.aliases()
        named = stored.get(self.collection, self.collection)
        made = models.CreateAlias(collection_name=named, alias_name=alias)
        changes: list[Any] = [models.CreateAliasOperation(create_alias=made)]
        if alias in stored:
            old = models.DeleteAlias(alias_name=alias)
            changes.insert(0, models.DeleteAliasOperation(delete_alias=old))
        self.call(lambda: self.client.update_collection_aliases(changes))

    def aliases(self) -> dict[str, str]:
        """Collections by alias."""
        found = self.call(self.client.get_aliases).aliases
        return {one.alias_name: one.collection_name for one in found}

    def delete_collection(self) -> None:
        """Delete the collection with all its points and aliases.

        Of a store that was opened by an alias it is the collection which that names.

        Raises:
            NotSupported: the store is opened for a tenant.
        """
        self._refuse_tenant("delete the collection")
        named = self.aliases().get(self.collection, self.collection)
        self.call(lambda: self.client.delete_collection(named))

    def _refuse_tenant(self, what: str) -> None:
        if self.tenant is not None:
            raise NotSupported(
                f"the tenant {self.tenant!r} cannot {what}: others have points in it; open the"
                " store without a tenant"
            )

    # -- what it is ----------------------------------------------------------------------------

    @cached_property
    def _search_params(self) -> models.SearchParams | None:
        if self.engine == "memory":  # it looks at every vector as it was written
            return None
        return search_params(self._info().config.metadata or {})

    def _info(self) -> models.CollectionInfo:
        info: models.CollectionInfo = self.call(lambda: self.client.get_collection(self.collection))
        return info

    def _create(self, embedder: VectorSpace, sparse: SparseEncoder) -> None:
        settings = collection_settings(embedder.dimension, self.options, self.engine)
        metadata: Mapping[str, Any] = made_for(embedder, sparse)
        if self.options.quantization:
            metadata = {**metadata, "quantization": self.options.quantization}

        def make() -> None:
            # What is asked again may have been done the first time.
            if not self.client.collection_exists(self.collection):
                self.client.create_collection(self.collection, metadata=metadata, **settings)

        try:
            self.call(make)
        except StoreError:
            if not self.exists():  # or else somebody made it meanwhile, which is verified next
                raise

    def _index(self, name: str, schema: Any) -> None:
        self.call(
            lambda: self.client.create_payload_index(
                self.collection, field_name=name, field_schema=schema, wait=True
            )
        )
