"""Creates, opens, aliases and deletes embedded collections. Knows nothing of their points.

One process at a time holds a store's folder, by the lock file that the local mode of Qdrant's
client uses, too. A collection is created under another name and then renamed, so that a crash
leaves no half collection.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import portalocker  # needs a writable temporary folder at import
import qdrant_edge as edge
from qdrant_client import models

from ...core.errors import StoreDamaged, StoreError, StoreLocked, StoreUnavailable
from .config import index_schema, info, shard_config
from .folder import (
    DOOMED,
    UNFINISHED,
    CollectionSpec,
    allocated,
    check_folder,
    check_room,
    damaged,
    engine_errors,
    holes,
    make_private,
    read_aliases,
    read_spec,
    remove_folder,
    remove_leftovers,
    write_aliases,
    write_spec,
)

__all__ = ["EdgeCollections"]

_log = logging.getLogger(__name__)

_ROOT: Final = "edge"
_LOCK: Final = ".lock"
_SHARD: Final = "shard"
_MIB: Final = 1024**2
# Free bytes required. An empty collection with our indexes has files with 244 MiB of holes.
_TO_CREATE: Final = 256 * _MIB
_TO_WRITE: Final = 64 * _MIB  # a request of 8 MiB goes to the log and to the storage


@dataclass(slots=True)
class _OpenCollection:
    """A collection in use; ``changed`` is True if points were written since it was opened."""

    shard: Any
    spec: CollectionSpec
    changed: bool = False
    writing: threading.Lock = field(default_factory=threading.Lock)


class EdgeCollections:
    """The collections in a folder, open to one process at a time.

    Args:
        folder: the store's folder; it must exist.

    Raises:
        StoreLocked: another process has the folder open.
        StoreDamaged: the lock file is not a regular file.
        OSError: the folder is not writable.
    """

    def __init__(self, folder: Path) -> None:
        self._root = folder / _ROOT
        lock = folder / _LOCK
        if lock.is_symlink() or (lock.exists() and not lock.is_file()):
            raise StoreDamaged(f"{lock} is not a regular file: remove it")
        self._file = lock.open("a")
        try:
            portalocker.lock(self._file, portalocker.LOCK_EX | portalocker.LOCK_NB)
        except portalocker.LockException as error:
            self._file.close()
            raise StoreLocked.of(folder) from error
        lock.chmod(0o600)
        self._root.mkdir(mode=0o700, exist_ok=True)
        remove_leftovers(self._root)
        self._open: dict[str, _OpenCollection] = {}
        self._opening = threading.RLock()

    def close(self) -> None:
        """Build the indexes that are due, write everything to disk, and release the folder."""
        if self._file.closed:
            return
        with self._opening, self._file, ExitStack() as stack:
            for name in self._open:  # a failure does not keep the others open
                stack.callback(self._shut, name, optimize=True)

    def collection_exists(self, collection_name: str) -> bool:
        """Whether a collection, or an alias of one, has this name."""
        return (self._root / self._resolved(collection_name)).is_dir()

    def create_collection(
        self,
        collection_name: str,
        vectors_config: Mapping[str, models.VectorParams],
        sparse_vectors_config: Mapping[str, models.SparseVectorParams],
        metadata: Mapping[str, Any],
        hnsw_config: models.HnswConfigDiff | None = None,
        quantization_config: Any = None,
    ) -> bool:
        """Create a collection of named vectors.

        Raises:
            StoreError: a collection has this name already.
            NotSupported: the engine does not have this quantization.
        """
        folder = self._root / collection_name
        unfinished = folder.with_name(f"{UNFINISHED}{collection_name}")
        spec = CollectionSpec(
            vectors=dict(vectors_config),
            sparse_vectors=dict(sparse_vectors_config),
            metadata=dict(metadata),
        )
        config = shard_config(spec, hnsw_config, quantization_config)
        with self._opening, engine_errors(folder):
            if self.collection_exists(collection_name):  # under the lock, so that one thread wins
                raise StoreError(f"the collection {collection_name!r} exists already")
            check_room(self._root, _TO_CREATE)
            aliases = read_aliases(self._root)
            if aliases.pop(collection_name, None):  # left by a crash: its collection is gone
                write_aliases(self._root, aliases)
            remove_folder(unfinished)
            unfinished.mkdir(mode=0o700)
            edge.EdgeShard.create(str(unfinished / _SHARD), config).close()
            write_spec(unfinished, spec)
            make_private(unfinished)
            unfinished.rename(folder)
        return True

    def delete_collection(self, collection_name: str) -> bool:
        """Delete a collection and its aliases; return False if it does not exist."""
        folder = self._root / collection_name
        with self._opening, engine_errors(folder):
            if not folder.is_dir():
                return False
            self._shut(collection_name, optimize=False)
            doomed = folder.with_name(f"{DOOMED}{collection_name}")
            remove_folder(doomed)
            folder.rename(doomed)  # first, so that a crash leaves no half collection
            aliases = read_aliases(self._root).items()
            write_aliases(self._root, {a: c for a, c in aliases if c != collection_name})
            remove_folder(doomed)
        return True

    def get_collection(self, collection_name: str) -> models.CollectionInfo:
        """Return the settings and counts of a collection."""
        spec = self._opened(collection_name).spec
        with self._reading(collection_name) as shard:
            return info(spec, shard)

    def create_payload_index(
        self,
        collection_name: str,
        field_name: str,
        field_schema: models.PayloadSchemaType | models.KeywordIndexParams,
        wait: bool = True,
    ) -> None:
        """Index a payload field."""
        schema = index_schema(field_schema)
        with self._writing(collection_name) as shard:
            shard.update(edge.UpdateOperation.create_field_index(field_name, schema))

    def get_aliases(self) -> models.CollectionsAliasesResponse:
        """Return all aliases."""
        aliases = [
            models.AliasDescription(alias_name=alias, collection_name=collection)
            for alias, collection in sorted(read_aliases(self._root).items())
        ]
        return models.CollectionsAliasesResponse(aliases=aliases)

    def update_collection_aliases(
        self,
        change_aliases_operations: Sequence[
            models.CreateAliasOperation | models.DeleteAliasOperation
        ],
    ) -> bool:
        """Create and delete aliases, all at once.

        Raises:
            StoreError: a collection does not exist, or has the name of a new alias.
        """
        with self._opening:
            aliases = read_aliases(self._root)
            for change in change_aliases_operations:
                if isinstance(change, models.DeleteAliasOperation):
                    aliases.pop(change.delete_alias.alias_name, None)
                    continue
                made = change.create_alias
                if (self._root / made.alias_name).exists():
                    raise StoreError(f"{made.alias_name!r} is a collection: use another alias")
                if not (self._root / made.collection_name).is_dir():
                    raise StoreError(f"no collection {made.collection_name!r}")
                aliases[made.alias_name] = made.collection_name
            write_aliases(self._root, aliases)
        return True

    def _resolved(self, name: str) -> str:
        return name if (self._root / name).is_dir() else read_aliases(self._root).get(name, name)

    @contextmanager
    def _reading(self, name: str) -> Iterator[Any]:
        """Lend the shard of a collection; turn the engine's errors into ours."""
        opened = self._opened(name)
        with engine_errors(self._root / name):
            yield opened.shard

    @contextmanager
    def _writing(self, name: str) -> Iterator[Any]:
        """Lend the shard of a collection to one writer, if the disk has room."""
        opened = self._opened(name)
        with opened.writing, engine_errors(self._root / name):
            check_room(self._root, _TO_WRITE)
            yield opened.shard
            opened.changed = True

    def _opened(self, name: str) -> _OpenCollection:
        """Return an open collection, opening it the first time."""
        name = self._resolved(name)
        with self._opening:
            if self._file.closed:
                raise StoreUnavailable(f"the store at {self._root.parent} was closed")
            if name not in self._open:
                self._open[name] = self._load(name)
            return self._open[name]

    def _load(self, name: str) -> _OpenCollection:
        folder = self._root / name
        if not folder.is_dir():
            raise StoreError(f"no collection {name!r} at {self._root.parent}")
        check_folder(folder)
        spec = read_spec(folder)
        if not (folder / _SHARD).is_dir():
            raise damaged(folder / _SHARD, "it is missing")
        check_room(folder, holes(folder))
        with engine_errors(folder, StoreDamaged):
            return _OpenCollection(edge.EdgeShard.load(str(folder / _SHARD)), spec)

    def _shut(self, name: str, *, optimize: bool) -> None:
        opened = self._open.pop(name, None)
        if opened is None:
            return
        with opened.writing, engine_errors(self._root / name):
            try:
                if optimize and opened.changed:
                    self._build_index(name, opened)
            finally:
                opened.shard.close()
        make_private(self._root / name)

    def _build_index(self, name: str, opened: _OpenCollection) -> None:
        """Build the HNSW index, if the disk has room and there are enough new points."""
        try:
            # The engine writes the points again, and the graph, before it deletes the old files.
            check_room(self._root, 2 * allocated(self._root / name) + _TO_WRITE)
        except StoreUnavailable as error:
            _log.warning("did not build the index of %s: %s", name, error)
            return
        _log.info("building the index of %s if there are enough new points", name)
        opened.shard.optimize()
