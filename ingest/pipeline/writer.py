"""Writes documents: makes points from pages, and embeds and writes only what is not stored yet.

Point ids come from content, so the work is the difference between the ids made and the ids stored.
Where possible a new point takes over the vectors of an equal text in a file of the same name: from
a point that is about to be deleted, or from another document with the same bytes. New points are
stored and counted before stale ones are deleted. A search in between finds the document, and a
failure leaves too many points, never too few.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import replace
from threading import Event
from typing import Final

from ..chunking.chunker import chunk_pages
from ..chunking.furniture import note_furniture
from ..core.errors import StoreError
from ..core.protocols import PointStore
from ..core.records import Chunk, Point
from ..core.schema import Field
from ..indexing.payload import Prepared, prepare
from ..indexing.points import now, write_points
from ..markdown.render import PageMarkdown
from .journal import Journal
from .planner import Edition
from .recipe import Recipe

__all__ = ["DocumentWriter"]

_WINDOW: Final = 256
"""Chunks made into points at a time: a point with its payload takes ten times a chunk's memory."""


class DocumentWriter:
    """Writes the documents of one run; ``force`` makes points again that are stored already."""

    def __init__(
        self, recipe: Recipe, store: PointStore, journal: Journal | None, force: bool = False
    ) -> None:
        self._recipe = recipe
        self._store = store
        self._journal = journal
        self._force = force
        self._stopped = Event()

    def stop(self) -> None:
        """Make a write that runs in another thread end soon, with CancelledError."""
        self._stopped.set()

    def write(self, edition: Edition, pages: list[PageMarkdown], failed: int) -> Counter[str]:
        """Store a document whose pages were all read, and delete the points that it replaces.

        Empties ``pages`` once they are chunked, to free their memory. ``failed`` counts further
        pages. Returns what was done, by the names of :class:`.report.IngestReport`.

        Raises:
            StoreError: the store failed, or lost what was written.
        """
        if failed and self._store.is_complete(edition.ref.id, edition.fingerprint):
            return self._leave(edition, pages)
        pages.sort(key=lambda page: page.index)
        chunks = chunk_pages(edition.ref, pages, self._recipe.embedder, self._recipe.chunking)
        noted = note_furniture(pages) if self._recipe.chunking.furniture == "metadata" else pages
        # Payloads need no text of pages: without it, a document of 5,000 pages is not in memory
        # twice.
        bare = {page.index: replace(page, text="", blocks=()) for page in noted}
        pages.clear()
        count = len(chunks)
        stored = self._store.existing_ids(edition.ref.id)
        stale = stored - {chunk.id for chunk in chunks}
        done = Counter(chunks=count, documents=bool(bare) or not failed)
        stamp: dict[str, object] = {
            Field.FINGERPRINT: edition.fingerprint,
            Field.INGESTED_AT: now(),
        }
        if not failed:  # without a count it is never complete, so the next run tries it again
            stamp[Field.CHUNK_COUNT] = count
        known = set() if self._force else stored
        donors = self._donors(chunks, known, stale, edition)
        for prepared in self._windows(chunks, bare, stamp):
            done += self._write_window(prepared, known, donors)
        if failed:  # stale points cannot be told from those of the missing pages
            return done
        return done + self._replace(edition, count, stale)

    def drop_moved(self, edition: Edition) -> Counter[str]:
        """Delete what is stored of a document under the former names of its file."""
        done = self._delete_moved(edition)
        self._forget_moved(edition)
        return done

    def record_stored(self, edition: Edition) -> None:
        """Record a document in the journal that the store holds already.

        The journal was lost, or a run was cut off between storing and recording.
        """
        if self._journal is not None:
            self._record(edition, self._count(edition), edition.keys)

    def _leave(self, edition: Edition, pages: Sequence[PageMarkdown]) -> Counter[str]:
        """Leave a complete document as it is stored: a forced run failed on some of its pages."""
        read = {page.index for page in pages}
        keys = {index: key for index, key in edition.keys.items() if index in read}
        self._record(edition, self._count(edition), keys)
        return Counter(documents=bool(read))

    def _replace(self, edition: Edition, count: int, stale: set[str]) -> Counter[str]:
        """Delete stale points and former names of a document that is stored, and record it."""
        done: Counter[str] = Counter()
        if stale:
            found = self._count(edition)
            if found != count:
                raise StoreError(
                    f"{edition.ref.name}: {found} of {count} chunks are in the store after writing;"
                    " what was there before is kept: ingest the file again"
                )
            done["points_deleted"] = self._store.delete_ids(stale)
        # A run killed in between finds the former names in the journal, and goes on from there.
        done += self._delete_moved(edition)
        # Recorded before the former names are forgotten: their pages are this document's now.
        self._record(edition, count, edition.keys)
        self._forget_moved(edition)
        return done

    def _count(self, edition: Edition) -> int:
        return self._store.count_made(edition.ref.id, edition.fingerprint)

    def _delete_moved(self, edition: Edition) -> Counter[str]:
        if not edition.moved:
            return Counter()
        deleted = self._store.delete_documents([entry.id for entry in edition.moved])
        return Counter(renamed=1, points_deleted=deleted)

    def _forget_moved(self, edition: Edition) -> None:
        if self._journal is not None and edition.moved:
            self._journal.forget([entry.id for entry in edition.moved])

    def _record(self, edition: Edition, chunks: int, keys: Mapping[int, str]) -> None:
        if self._journal is not None:
            self._journal.finish(edition.entry(chunks), keys)

    # -- points ----------------------------------------------------------------------------------

    def _donors(
        self, chunks: Sequence[Chunk], known: set[str], stale: set[str], edition: Edition
    ) -> dict[str, str]:
        """Find stored points that have the vectors of new chunks; return their ids by text."""
        wanted = {chunk.embedded_text for chunk in chunks if chunk.id not in known}
        if self._force or not wanted:
            return {}
        name = edition.ref.name
        donors = self._with_texts(wanted, stale, name)
        for twin in edition.twins:
            if missing := wanted - donors.keys():
                donors |= self._with_texts(missing, self._store.existing_ids(twin), name)
        return donors

    def _with_texts(self, wanted: set[str], ids: set[str], name: str) -> dict[str, str]:
        """Choose the points of files so named that have a wanted text; return their ids by text."""
        found = self._store.texts(ids, name) if ids else {}
        return {text: point for point, text in found.items() if text in wanted}

    def _windows(
        self, chunks: list[Chunk], pages: Mapping[int, PageMarkdown], stamp: Mapping[str, object]
    ) -> Iterator[list[Prepared]]:
        """Prepare a document's chunks, a bounded number at a time. Empties the list."""
        previous: Chunk | None = None
        while chunks:
            if self._stopped.is_set():
                raise CancelledError
            part = chunks[:_WINDOW]
            del chunks[:_WINDOW]
            yield prepare(part, pages, stamp, previous, chunks[0] if chunks else None)
            previous = part[-1]

    def _write_window(
        self, prepared: Sequence[Prepared], known: set[str], donors: Mapping[str, str]
    ) -> Counter[str]:
        recipe, store = self._recipe, self._store
        new = [one for one in prepared if one.id not in known]
        copied = self._copied(new, donors)
        copied_ids = {point.id for point in copied}
        embedded = [one for one in new if one.id not in copied_ids]
        written = store.upsert(copied) if copied else 0
        written += write_points(embedded, store, recipe.embedder, recipe.sparse)
        updated = {one.id: one.payload for one in prepared if one.id in known}
        if updated:
            store.overwrite_payloads(updated)
        return Counter(vectors_copied=len(copied), embedded=len(embedded), points_written=written)

    def _copied(self, prepared: Sequence[Prepared], donors: Mapping[str, str]) -> list[Point]:
        """Make the points whose vectors are stored under another id."""
        sources = {one.id: donors[one.text] for one in prepared if one.text in donors}
        found = self._store.vectors(set(sources.values())) if sources else {}
        return [
            Point(one.id, one.payload, vectors.dense, vectors.sparse)
            for one in prepared
            if (vectors := found.get(sources.get(one.id, ""))) is not None
        ]
