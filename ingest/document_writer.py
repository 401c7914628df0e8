"""A document's pages to points: what is stored already is neither embedded nor written again.

Ids come from content, so the difference between the ids made and the ids stored is the work. Of
what is new, the vectors of equal texts that are about to go, or are stored for another document of
the same bytes, are taken over. New points are stored, and counted, before stale ones are deleted,
so that a search in between finds the document and a failure leaves more than is needed, never less.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from llama_index.core.schema import TextNode

from .chunking import chunk_pages
from .errors import StoreError
from .indexing import now, write_points
from .ingest_report import IngestReport
from .intake import Draft, Maker
from .journal import Journal, JournalEntry
from .markdown import PageMarkdown
from .node_parser import chunk_nodes, node_payload
from .protocols import PointStore
from .schema import Field
from .types import Chunk, Point

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

    def write(self, draft: Draft, report: IngestReport) -> None:
        """Store a document whose pages are all there, and remove what it replaces.

        Raises:
            StoreError: the store failed, or lost what was written.
        """
        ref = draft.ref
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
        for nodes in _windows(chunks, pages):
            self._write_window(nodes, draft, count, known, donors, report)
        # With pages missing we cannot tell stale points from those of the missing pages.
        if stale and not draft.failed:
            self._check_stored(draft, count)
            report.points_deleted += self._store.delete_ids(stale)
        report.documents += bool(pages) or not draft.failed
        report.chunks += count
        if not draft.failed:
            self._record(draft, count)
            self.drop_moved(draft, report)

    def drop_moved(self, draft: Draft, report: IngestReport) -> None:
        """Remove a stored document's points under the names its file had before."""
        if not draft.moved:
            return
        ids = [entry.id for entry in draft.moved]
        report.renamed += 1
        report.points_deleted += self._store.delete_documents(ids)
        if self._journal is not None:
            self._journal.forget(ids)

    def note_unchanged(self, draft: Draft) -> None:
        """Record a document that the store has and the journal, if it was lost, does not."""
        if self._journal is None:
            return
        entry = self._journal.entry(draft.ref.id)
        if entry is None or entry.fingerprint != draft.fingerprint:
            self._record(draft, self._store.count_made(draft.ref.id, draft.fingerprint))

    def _record(self, draft: Draft, chunks: int) -> None:
        if self._journal is not None:
            ref = draft.ref
            entry = JournalEntry(ref.id, ref.uri, ref.sha256, draft.fingerprint, chunks)
            self._journal.finish(entry, draft.keys)

    def _donors(
        self, chunks: Sequence[Chunk], known: set[str], stale: set[str], draft: Draft
    ) -> dict[str, str]:
        """Points that have the vectors of new chunks: their ids by the text."""
        if self._force or all(chunk.id in known for chunk in chunks):
            return {}
        ids = stale.union(*(self._store.existing_ids(one) for one in draft.donors))
        if not ids:
            return {}
        wanted = {chunk.embedded_text for chunk in chunks if chunk.id not in known}
        found = self._store.texts(ids)
        return {text: point for point, text in found.items() if text in wanted}

    def _write_window(
        self,
        nodes: Sequence[TextNode],
        draft: Draft,
        count: int,
        known: set[str],
        donors: dict[str, str],
        report: IngestReport,
    ) -> None:
        maker, store = self._maker, self._store
        payloads = _payloads(nodes, draft, count)
        new = [node for node in nodes if node.node_id not in known]
        copied = self._copied(new, payloads, donors)
        made = {point.id for point in copied}
        embedded = [node for node in new if node.node_id not in made]
        written = store.upsert(copied) if copied else 0
        written += write_points(embedded, payloads, store, maker.embedder, maker.sparse)
        kept = {key: payload for key, payload in payloads.items() if key in known}
        if kept:
            store.overwrite_payloads(kept)
        report.vectors_copied += len(copied)
        report.embedded += len(embedded)
        report.points_written += written

    def _copied(
        self,
        nodes: Sequence[TextNode],
        payloads: dict[str, dict[str, object]],
        donors: dict[str, str],
    ) -> list[Point]:
        """Points of nodes whose vectors are stored under another id."""
        sources = {node.node_id: donors[node.text] for node in nodes if node.text in donors}
        found = self._store.vectors(set(sources.values())) if sources else {}
        return [
            Point(key, payloads[key], found[source].dense, found[source].sparse)
            for key, source in sources.items()
            if source in found
        ]

    def _check_stored(self, draft: Draft, expected: int) -> None:
        found = self._store.count_made(draft.ref.id, draft.fingerprint)
        if found != expected:
            raise StoreError(
                f"{draft.ref.name}: {found} of {expected} chunks are in the store after writing;"
                " what was there before is kept: ingest the file again"
            )


def _windows(chunks: list[Chunk], pages: Mapping[int, PageMarkdown]) -> Iterator[list[TextNode]]:
    """Nodes of a document, some at a time, each linked to its neighbours; empties the list."""
    before: list[Chunk] = []
    while chunks:
        part = chunks[:_WINDOW]
        del chunks[:_WINDOW]
        nodes = chunk_nodes([*before, *part, *chunks[:1]], pages)
        yield nodes[len(before) :][: len(part)]
        before = part[-1:]


def _payloads(nodes: Sequence[TextNode], draft: Draft, count: int) -> dict[str, dict[str, object]]:
    # A document with failed pages is never complete: the next run tries it again.
    whole = {} if draft.failed else {Field.CHUNK_COUNT: count}
    extra = {Field.FINGERPRINT: draft.fingerprint, Field.INGESTED_AT: now(), **whole}
    return {node.node_id: {**node_payload(node), **extra} for node in nodes}
