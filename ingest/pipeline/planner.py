"""Plans what is left to do for a file: which pages are known and which must be parsed.

Asks the store whether a document is complete, and the journal for its pages. Parses nothing and
writes nothing to either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeGuard

from ..core.config import IngestOptions, SourceConfig
from ..core.flags import Flag
from ..core.protocols import PointStore
from ..core.records import DocumentRef, PageRef, PageTask
from ..documents.examiner import DocumentExaminer
from ..documents.pages import SourceDocument, open_document
from ..markdown.render import PageMarkdown
from .gone import was_moved
from .journal import Journal, JournalEntry
from .recipe import Recipe

__all__ = ["Edition", "Plan", "Planner"]

_TWINS: Final = 2  # each is a request to the store, and thousands of files may have the same bytes


@dataclass(frozen=True, slots=True, eq=False)
class Edition:
    """One content of a document, made by one recipe: what the store is to hold.

    Attributes:
        fingerprint: hash of the content and the recipe.
        keys: the journal's keys of the pages, by 0-based index; empty without a journal.
        moved: documents with the same bytes whose files are gone: former names of this one.
        twins: ids of other documents with the same bytes, whose vectors may be copied.
    """

    ref: DocumentRef
    fingerprint: str
    keys: Mapping[int, str]
    moved: tuple[JournalEntry, ...] = ()
    twins: tuple[str, ...] = ()

    def entry(self, chunks: int = -1) -> JournalEntry:
        """The journal's entry: stored as this many chunks, or -1 for not stored yet."""
        ref = self.ref
        return JournalEntry(ref.id, ref.uri, ref.sha256, self.fingerprint, chunks)


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What is left to do for a document.

    Attributes:
        source: the open file. Whoever takes the plan closes it.
        complete: whether the store holds all of it already; then nothing is left to do.
        recorded: whether the journal has this edition as stored.
        known: pages that earlier runs recorded.
    """

    edition: Edition
    source: SourceDocument
    complete: bool
    recorded: bool
    known: tuple[PageMarkdown, ...] = ()
    tasks: tuple[PageTask, ...] = ()

    @property
    def ref(self) -> DocumentRef:
        """The document."""
        return self.edition.ref

    @property
    def pages(self) -> int:
        """How many pages are known or left to parse."""
        return len(self.known) + len(self.tasks)


class Planner:
    """Plans the files of one run.

    Args:
        journal: pages parsed by earlier runs; None if nothing is recorded.
        options: ``force`` reuses no page; ``dry_run`` leaves data stored by the engine where it
            is; ``roots`` tell whether a file was moved.
        examiner: examines files and hashes pages; None does it in this process, without limits.
    """

    def __init__(
        self,
        recipe: Recipe,
        store: PointStore,
        journal: Journal | None,
        source: SourceConfig,
        options: IngestOptions,
        examiner: DocumentExaminer | None = None,
    ) -> None:
        self._recipe = recipe
        self._store = store
        self._journal = journal
        self._source = source
        self._options = options
        self._examiner = examiner or DocumentExaminer()
        self._opened: dict[str, list[str]] = {}  # ids of the first documents, by their sha256

    def plan(self, file: str | Path) -> Plan:
        """Open a file and plan what is left to do. The caller closes ``plan.source``.

        Raises:
            SourceError: the file cannot be read.
            StoreError: the store cannot be asked.
        """
        with ExitStack() as stack:
            source = stack.enter_context(self._open(file))
            ref = source.ref
            refs = source.page_refs(self._source.pages)
            entry = None if self._journal is None else self._journal.entry(ref.id)
            fingerprint = self._recipe.fingerprint(ref, self._source.pages)
            complete = not self._options.force and self._is_stored(ref.id, fingerprint, entry)
            recorded = _is_finished(entry) and entry.fingerprint == fingerprint
            moved, twins = self._same_bytes(ref, entry, complete)
            keys = {} if complete and recorded else self._keys(source, refs)
            edition = Edition(ref, fingerprint, keys, moved, twins)
            known = () if complete else self._known(refs, keys)
            tasks = () if complete else _tasks(source, refs, known)
            stack.pop_all()
            return Plan(edition, source, complete, recorded, known, tasks)

    def former_page(
        self, source: SourceDocument, edition: Edition, index: int
    ) -> PageMarkdown | None:
        """Load an earlier run's reading of a page (0-based) that a forced run failed to parse."""
        if not self._options.force:
            return None
        (ref,) = source.page_refs(str(index + 1))
        return self._recorded(ref, edition.keys.get(index, ""))

    def _open(self, file: str | Path) -> SourceDocument:
        return open_document(
            file,
            password=self._source.password,
            limits=self._source.limits,
            tenant=self._store.tenant,
            examiner=self._examiner,
        )

    def _is_stored(self, document: str, fingerprint: str, entry: JournalEntry | None) -> bool:
        if self._store.is_complete(document, fingerprint):
            return True
        # A document without text has no points: only the journal can tell.
        return entry is not None and (entry.fingerprint, entry.chunks) == (fingerprint, 0)

    # -- documents with the same bytes -----------------------------------------------------------

    def _same_bytes(
        self, ref: DocumentRef, entry: JournalEntry | None, complete: bool
    ) -> tuple[tuple[JournalEntry, ...], tuple[str, ...]]:
        """Find the former names of a document that is new at its location, and its twins."""
        is_new = not _is_finished(entry) or entry.sha256 != ref.sha256
        if self._journal is None or (complete and not is_new):
            return (), ()
        same = [one for one in self._journal.with_content(ref.sha256) if one.id != ref.id]
        roots = self._options.roots
        moved = tuple(one for one in same if is_new and was_moved(one.path, roots))
        return moved, self._twins(ref, same)

    def _twins(self, ref: DocumentRef, same: Sequence[JournalEntry]) -> tuple[str, ...]:
        """Choose a few documents with the same bytes: those this run opened, then stored ones.

        Called before the document is begun, not when it is written: when two files swap names,
        each is the other's twin only until then.
        """
        opened = self._opened.setdefault(ref.sha256, [])
        stored = sorted(same, key=lambda one: one.chunks < 1)
        known = dict.fromkeys([*opened, *(one.id for one in stored)])
        if len(opened) < _TWINS:
            opened.append(ref.id)
        return tuple(known)[: 2 * _TWINS]

    # -- pages -----------------------------------------------------------------------------------

    def _keys(self, source: SourceDocument, refs: Sequence[PageRef]) -> dict[int, str]:
        """Hash pages and make their journal keys, by 0-based index; none without a journal."""
        if self._journal is None:
            return {}
        indices = [ref.index for ref in refs]
        hashes = self._examiner.page_hashes(source.spec, source.ref.sha256, indices)
        page_key = self._recipe.page_key
        return {index: page_key(found) for index, found in zip(indices, hashes, strict=True)}

    def _known(self, refs: Sequence[PageRef], keys: Mapping[int, str]) -> tuple[PageMarkdown, ...]:
        if self._options.force:
            return ()
        found = (self._recorded(ref, keys.get(ref.index, "")) for ref in refs)
        return tuple(page for page in found if page is not None)

    def _recorded(self, ref: PageRef, key: str) -> PageMarkdown | None:
        """Load a page that was parsed before, unless data that the engine stores of it is lost."""
        page = self._journal.page(key) if self._journal is not None and key else None
        if page is None:
            return None
        # It may have been parsed at another position, in this file or in another.
        page = replace(page, index=ref.index, label=ref.label)
        return page if self._has_kept(ref, key, page) else None

    def _has_kept(self, ref: PageRef, key: str, page: PageMarkdown) -> bool:
        """Have the engine's data of a recorded page serve this page, too; whether it can."""
        journal, keeper = self._journal, self._recipe.keeper
        if journal is None or keeper is None:  # the engine stores no data
            return True
        here = (ref.document.id, ref.document.sha256, ref.index)
        occurrences = journal.occurrences(key)
        if here in occurrences:  # the data of this very page may have been dropped to make room
            return True
        # Here first: a run that was cut off may have passed the data on already.
        kept = any(
            keeper.has_page(*one) if self._options.dry_run else keeper.link_page(*one, ref)
            for one in (here, *occurrences)
        )
        return kept or Flag.BLANK in page.flags  # the engine may store nothing of a blank page


def _is_finished(entry: JournalEntry | None) -> TypeGuard[JournalEntry]:
    return entry is not None and entry.chunks >= 0


def _tasks(
    source: SourceDocument, refs: Sequence[PageRef], known: Sequence[PageMarkdown]
) -> tuple[PageTask, ...]:
    indices = {page.index for page in known}
    return tuple(PageTask(source.spec, ref) for ref in refs if ref.index not in indices)
