"""Files on their way in: what is stored already, what was parsed before, what is left to parse.

Asks the store whether a document is complete, and the journal for its pages; parses and writes
nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ..core.config import ChunkingConfig, IngestOptions, SourceConfig
from ..core.flags import Flag
from ..core.protocols import Embedder, PageEngine, PageKeeper, PointStore, SparseEncoder
from ..core.records import DocumentRef, PageRef, PageTask
from ..core.schema import SCHEMA_VERSION
from ..documents.examiner import DocumentExaminer
from ..documents.pages import SourceDocument, open_document
from ..markdown.render import PageMarkdown
from .gone import was_moved
from .journal import Journal, JournalEntry

__all__ = ["Draft", "Intake", "Maker"]

_TWINS: Final = 2  # each is asked for in the store; thousands of files may have the same bytes
_FORMAT: Final = "page/2"
"""Raised when Markdown made of the same parsed page changes its form."""


@dataclass(frozen=True, slots=True)
class Maker:
    """Everything that decides which points a document becomes.

    ``keeper`` is where the engine keeps something of each page, if it does: a page of another file,
    or of an earlier content, is then taken over with what is kept of it, or read again.
    """

    engine: PageEngine
    chunking: ChunkingConfig
    embedder: Embedder
    sparse: SparseEncoder
    keeper: PageKeeper | None = None

    def fingerprint(self, document: DocumentRef, pages: str | None) -> str:
        """Of the points of a document of which these pages are chosen."""
        parts = (
            document.sha256,
            document.name,
            pages or "",
            self.engine.fingerprint,
            self.chunking.fingerprint,
            self.embedder.name,
            self.sparse.name,
            str(SCHEMA_VERSION),
        )
        return _hash(*parts)

    def page_key(self, page_hash: str) -> str:
        """Of the Markdown of a page: equal keys, equal Markdown, and as much of it kept."""
        kept = "" if self.keeper is None else "kept"
        return _hash(_FORMAT, page_hash, self.engine.fingerprint, self.chunking.furniture, kept)


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(slots=True, eq=False)
class Draft:
    """A document between its first page and its last.

    ``moved`` are documents of the same bytes whose files are gone: this one under older names.
    ``twins`` are ids of some that had these bytes when it was opened, which may have its vectors.
    ``keys`` are the journal's keys of pages, by 0-based index; ``reused`` pages were recorded under
    theirs.
    """

    source: SourceDocument
    resources: ExitStack
    expected: int
    fingerprint: str
    moved: tuple[JournalEntry, ...] = ()
    twins: tuple[str, ...] = ()
    keys: dict[int, str] = field(default_factory=dict)
    pages: list[PageMarkdown] = field(default_factory=list)
    reused: int = 0
    failed: int = 0

    @property
    def ref(self) -> DocumentRef:
        """The document."""
        return self.source.ref

    def entry(self, chunks: int = -1) -> JournalEntry:
        """What the journal is to say of it: stored as so many chunks, or not yet."""
        ref = self.ref
        return JournalEntry(ref.id, ref.uri, ref.sha256, self.fingerprint, chunks)

    @property
    def done(self) -> bool:
        """Whether every page was read or failed."""
        return len(self.pages) + self.failed == self.expected


class Intake:
    """Opens files for one run.

    Args:
        maker: what would make their points.
        store: where these would be.
        journal: pages parsed before; None if nothing is recorded.
        source: password, pages and limits.
        options: what is to be done again, and where files may have been moved from.
        examiner: looks at files and their pages; None looks in this process, without limits.
    """

    def __init__(
        self,
        maker: Maker,
        store: PointStore,
        journal: Journal | None,
        source: SourceConfig,
        options: IngestOptions,
        examiner: DocumentExaminer | None = None,
    ) -> None:
        self._maker = maker
        self._store = store
        self._journal = journal
        self._source = source
        self._options = options
        self._examiner = examiner or DocumentExaminer()
        self._opened: dict[str, list[str]] = {}  # ids of the first documents by their bytes

    def open(self, file: str | Path) -> tuple[Draft, bool]:
        """Open a document, and say whether all of it is stored already; the caller closes it.

        Raises:
            SourceError: it cannot be read.
            StoreError: the store cannot be asked.
        """
        options = self._source
        with ExitStack() as stack:
            source = stack.enter_context(
                open_document(
                    file,
                    password=options.password,
                    limits=options.limits,
                    tenant=self._store.tenant,
                    examiner=self._examiner,
                )
            )
            ref = source.ref
            expected = len(source.page_refs(options.pages))
            fingerprint = self._maker.fingerprint(ref, options.pages)
            complete = not self._options.force and self._is_stored(ref.id, fingerprint)
            moved, twins = self._of_same_bytes(ref, complete)
            made = (source, stack.pop_all(), expected, fingerprint, moved, twins)
            return Draft(*made), complete

    def _of_same_bytes(
        self, ref: DocumentRef, complete: bool
    ) -> tuple[tuple[JournalEntry, ...], tuple[str, ...]]:
        """Documents whose files are gone, if this one is new at its place, and its twins."""
        here = None if self._journal is None else self._journal.entry(ref.id)
        is_new = here is None or here.chunks < 0 or here.sha256 != ref.sha256
        if self._journal is None or (complete and not is_new):
            return (), ()
        same = [one for one in self._journal.with_content(ref.sha256) if one.id != ref.id]
        roots = self._options.roots
        moved = tuple(one for one in same if is_new and was_moved(one.path, roots))
        return moved, self._twins(ref, same)

    def _twins(self, ref: DocumentRef, same: Sequence[JournalEntry]) -> tuple[str, ...]:
        """Some documents of the same bytes: those that this run opened first, then stored ones.

        Asked before this one is begun, and not when it is written: of files that swap their names,
        each is the other's twin only until then.
        """
        opened = self._opened.setdefault(ref.sha256, [])
        stored = sorted(same, key=lambda one: one.chunks < 1)
        known = dict.fromkeys([*opened, *(one.id for one in stored)])
        if len(opened) < _TWINS:
            opened.append(ref.id)
        return tuple(known)[: 2 * _TWINS]

    def _is_stored(self, document: str, fingerprint: str) -> bool:
        if self._store.is_complete(document, fingerprint):
            return True
        # A document without text has no points that could say so.
        entry = self._journal.entry(document) if self._journal else None
        return entry is not None and (entry.fingerprint, entry.chunks) == (fingerprint, 0)

    def known_pages(self, draft: Draft) -> int:
        """How many pages of a draft need not be parsed; changes nothing."""
        if self._options.force:
            return 0
        keyed = self._keyed(draft)
        return sum(self._recorded(ref, key, look=True) is not None for ref, key in keyed)

    def keys(self, draft: Draft) -> dict[int, str]:
        """The journal's keys of a draft's pages, by 0-based index."""
        return {ref.index: key for ref, key in self._keyed(draft) if key}

    def tasks(self, draft: Draft) -> Iterator[PageTask]:
        """The pages left to parse; the others are put into the draft on the way."""
        for ref, key in self._keyed(draft):
            if key:
                draft.keys[ref.index] = key
            found = None if self._options.force else self._recorded(ref, key)
            if found is None:
                yield PageTask(draft.source.spec, ref)
            else:
                if self._journal is not None:
                    self._journal.claim_page(ref.document.id, ref.document.sha256, key, found)
                draft.pages.append(found)
                draft.reused += 1

    def former(self, draft: Draft, index: int | None) -> PageMarkdown | None:
        """A page (0-based) that a forced run failed to parse, as an earlier run recorded it."""
        if not self._options.force or index is None:
            return None
        (ref,) = draft.source.page_refs(str(index + 1))
        return self._recorded(ref, draft.keys.get(index, ""))

    def _recorded(self, ref: PageRef, key: str, *, look: bool = False) -> PageMarkdown | None:
        """A page parsed before, if what was kept of it is, or with ``look`` could be, this one's.

        Of a blank page nothing may have been kept. What was kept of this very page is its own
        already, or was dropped to make room, which is no reason to read it again.
        """
        page = self._journal.page(key) if self._journal is not None and key else None
        # The same page may stand elsewhere in this file than where it was parsed.
        found = None if page is None else _placed(page, ref)
        return found if found is None or self._is_kept(ref, key, found, look) else None

    def _is_kept(self, ref: PageRef, key: str, page: PageMarkdown, look: bool) -> bool:
        """Whether what the engine keeps of a recorded page is this one's, or need not be."""
        journal, keeper = self._journal, self._maker.keeper
        if journal is None or keeper is None:
            return True
        here = (ref.document.id, ref.document.sha256, ref.index)
        places = journal.places(key)
        if here in places:
            return True
        # Here first: a run that was cut off may have passed it on already.
        kept = any(
            keeper.keeps(*place) if look else keeper.pass_on(*place, ref)
            for place in (here, *places)
        )
        return kept or Flag.BLANK in page.flags

    def _keyed(self, draft: Draft) -> Iterator[tuple[PageRef, str]]:
        """Pages with the journal's keys, which are empty where there is no journal."""
        refs = draft.source.page_refs(self._source.pages)
        if self._journal is None:
            yield from ((ref, "") for ref in refs)
            return
        indices = [ref.index for ref in refs]
        hashes = self._examiner.page_hashes(draft.source.spec, draft.ref.sha256, indices)
        for ref, found in zip(refs, hashes, strict=True):
            yield ref, self._maker.page_key(found)


def _placed(page: PageMarkdown, ref: PageRef) -> PageMarkdown:
    return PageMarkdown(
        ref.index, ref.label, page.text, page.blocks, page.furniture, page.engine, page.flags
    )
