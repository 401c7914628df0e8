"""A document's pages to points: what is stored already is neither embedded nor written again.

Ids come from content, so the difference between the ids made and the ids stored is the work. Of
what is new, the vectors of equal texts that are about to go, or are stored for another document of
the same bytes, are taken over. New points are stored, and counted, before stale ones are deleted,
so that a search in between finds the document and a failure leaves more than is needed, never less.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import replace
from threading import Event
from typing import Final

from ..chunking.chunker import chunk_pages
from ..core.errors import StoreError
from ..core.protocols import PointStore
from ..core.records import Chunk, Point
from ..core.schema import Field
from ..indexing.payload import Prepared, prepare
from ..indexing.points import now, write_points
from ..markdown.render import PageMarkdown
from .intake import Draft, Maker
from .journal import Journal

__all__ = ["DocumentWriter"]

_WINDOW: Final = 256
"""Chunks made into points at a time: with their payloads these take ten times a chunk's memory."""


class DocumentWriter:
    """Writes documents of one run.

    Args:
        maker: what makes their points.
        store: where these go.
        journal: where a stored document is recorded; None for nowhere.
        force: points that are stored already are made again.
    """

    def __init__(
        self, maker: Maker, store: PointStore, journal: Journal | None, force: bool = False
    ) -> None:
        self._maker = maker
        self._store = store
        self._journal = journal
        self._force = force
        self._stopped = Event()

    def stop(self) -> None:
        """Have a write that another thread is in the middle of end soon, with CancelledError."""
        self._stopped.set()

    def write(self, draft: Draft) -> Counter[str]:
        """Store a document whose pages are all there, and remove what it replaces.

        Returns:
            What was done, by the names of :class:`.ingest_report.IngestReport`.

        Raises:
            StoreError: the store failed, or lost what was written.
        """
        ref = draft.ref
        if draft.failed and self._store.is_complete(ref.id, draft.fingerprint):
            return self._keep(draft)
        draft.pages.sort(key=lambda page: page.index)
        chunks = chunk_pages(ref, draft.pages, self._maker.embedder, self._maker.chunking)
        count = len(chunks)
        # Of the pages only their engines and flags are still needed, of chunks those to come: a
        # document of 5,000 pages then is not held twice.
        pages = {page.index: replace(page, text="", blocks=()) for page in draft.pages}
        draft.pages.clear()
        stored = self._store.existing_ids(ref.id)
        stale = stored - {chunk.id for chunk in chunks}
        known = set() if self._force else stored
        donors = self._donors(chunks, known, stale, draft)
        # A document with failed pages is never complete: the next run tries it again.
        whole = {} if draft.failed else {Field.CHUNK_COUNT: count}
        stamp = {Field.FINGERPRINT: draft.fingerprint, Field.INGESTED_AT: now(), **whole}
        done: Counter[str] = Counter(chunks=count, documents=bool(pages) or not draft.failed)
        for prepared in self._windows(chunks, pages, stamp):
            done += self._write_window(prepared, known, donors)
        if draft.failed:  # stale points cannot be told from those of missing pages
            return done
        if stale:
            self._check_stored(draft, count)
            done["points_deleted"] += self._store.delete_ids(stale)
        # Killed in between, the next run finds the old names in the journal, and goes on.
        done += self._delete_moved(draft)
        self._record(draft, count)  # before old names go: their pages are this document's
        self._forget_moved(draft)
        return done

    def drop_moved(self, draft: Draft) -> Counter[str]:
        """Remove a stored document's points under the names its file had before."""
        done = self._delete_moved(draft)
        self._forget_moved(draft)
        return done

    def note_unchanged(self, draft: Draft, keys: Callable[[Draft], Mapping[int, str]]) -> None:
        """Record a document that the store has and the journal does not.

        It was lost, or the run was cut off between the two. ``keys`` are of its pages: those that
        were taken over from an earlier content are known by that only, and would go with it.
        """
        if self._journal is None:
            return
        entry = self._journal.entry(draft.ref.id)
        if entry is None or entry.fingerprint != draft.fingerprint or entry.chunks < 0:
            draft.keys.update(keys(draft))
            self._record(draft, self._store.count_made(draft.ref.id, draft.fingerprint))

    def _keep(self, draft: Draft) -> Counter[str]:
        """Leave a document as it is that a forced run could not make as whole as it is stored."""
        there = {page.index for page in draft.pages}
        draft.keys = {index: key for index, key in draft.keys.items() if index in there}
        self._record(draft, self._store.count_made(draft.ref.id, draft.fingerprint))
        return Counter(documents=bool(there))

    def _delete_moved(self, draft: Draft) -> Counter[str]:
        if not draft.moved:
            return Counter()
        deleted = self._store.delete_documents([entry.id for entry in draft.moved])
        return Counter(renamed=1, points_deleted=deleted)

    def _forget_moved(self, draft: Draft) -> None:
        if self._journal is not None and draft.moved:
            self._journal.forget([entry.id for entry in draft.moved])

    def _record(self, draft: Draft, chunks: int) -> None:
        if self._journal is not None:
            self._journal.finish(draft.entry(chunks), draft.keys)

    def _donors(
        self, chunks: Sequence[Chunk], known: set[str], stale: set[str], draft: Draft
    ) -> dict[str, str]:
        """Points that have the vectors of new chunks: their ids by the text."""
        wanted = {chunk.embedded_text for chunk in chunks if chunk.id not in known}
        if self._force or not wanted:
            return {}
        donors = self._having(wanted, stale)
        for twin in draft.twins:
            if missing := wanted - donors.keys():
                donors |= self._having(missing, self._store.existing_ids(twin))
        return donors

    def _having(self, wanted: set[str], ids: set[str]) -> dict[str, str]:
        """Points of those with these ids that have a wanted text: their ids by the text."""
        found = self._store.texts(ids) if ids else {}
        return {text: point for point, text in found.items() if text in wanted}

    def _write_window(
        self, prepared: Sequence[Prepared], known: set[str], donors: dict[str, str]
    ) -> Counter[str]:
        maker, store = self._maker, self._store
        new = [one for one in prepared if one.id not in known]
        copied = self._copied(new, donors)
        made = {point.id for point in copied}
        embedded = [one for one in new if one.id not in made]
        written = store.upsert(copied) if copied else 0
        written += write_points(embedded, store, maker.embedder, maker.sparse)
        kept = {one.id: one.payload for one in prepared if one.id in known}
        if kept:
            store.overwrite_payloads(kept)
        return Counter(vectors_copied=len(copied), embedded=len(embedded), points_written=written)

    def _copied(self, prepared: Sequence[Prepared], donors: dict[str, str]) -> list[Point]:
        """Points whose vectors are stored under another id."""
        sources = {one.id: donors[one.text] for one in prepared if one.text in donors}
        found = self._store.vectors(set(sources.values())) if sources else {}
        return [
            Point(one.id, one.payload, vectors.dense, vectors.sparse)
            for one in prepared
            if (vectors := found.get(sources.get(one.id, ""))) is not None
        ]

    def _windows(
        self, chunks: list[Chunk], pages: Mapping[int, PageMarkdown], stamp: Mapping[str, object]
    ) -> Iterator[list[Prepared]]:
        """Points of a document, some at a time, each linked to its neighbours; empties the list."""
        previous: Chunk | None = None
        while chunks:
            if self._stopped.is_set():
                raise CancelledError
            part = chunks[:_WINDOW]
            del chunks[:_WINDOW]
            yield prepare(part, pages, stamp, previous, chunks[0] if chunks else None)
            previous = part[-1]

    def _check_stored(self, draft: Draft, expected: int) -> None:
        found = self._store.count_made(draft.ref.id, draft.fingerprint)
        if found != expected:
            raise StoreError(
                f"{draft.ref.name}: {found} of {expected} chunks are in the store after writing;"
                " what was there before is kept: ingest the file again"
            )
