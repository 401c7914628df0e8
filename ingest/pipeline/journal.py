"""Records what an ingest has done, so that the next one need not do it again.

A SQLite file (WAL) beside the store. It holds every parsed page by a hash of its content
(:mod:`.page_hash`), the documents that the page occurs in, and the documents that are stored. The
journal only saves work: the store is the truth, and a page that is lost here is parsed again. So no
method raises. A journal that cannot be used logs that once. On a full disk, each write is still
tried.
"""

from __future__ import annotations

import hashlib
import logging
import re
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from ..core.errors import CacheError, CacheFull, CacheVersion
from ..core.identity import document_id
from ..core.records import PageFailure
from ..markdown.render import PageMarkdown
from ..system.closeable import Closeable
from ..system.sqlite import Database
from .journal_pages import pack_page, unpack_page

__all__ = ["Journal", "JournalEntry", "journal_name"]

_log = logging.getLogger(__name__)
Use = Literal["make", "change", "read"]

_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE documents (
  id TEXT PRIMARY KEY, path TEXT NOT NULL, sha256 TEXT NOT NULL, fingerprint TEXT NOT NULL,
  chunks INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX by_content ON documents (sha256);
CREATE TABLE pages (key TEXT PRIMARY KEY, content BLOB NOT NULL);
CREATE TABLE places (
  document TEXT NOT NULL, sha256 TEXT NOT NULL, page INTEGER NOT NULL, key TEXT, failure TEXT,
  PRIMARY KEY (document, sha256, page)) WITHOUT ROWID;
CREATE INDEX by_key ON places (key);
"""
_AT_PAGE: Final = "document = ? AND sha256 = ? AND page = ?"
_UNUSED: Final = "NOT EXISTS (SELECT 1 FROM places WHERE places.key = pages.key)"
_MOST_OCCURRENCES: Final = 100  # read for one page; a letterhead may occur in 10,000 files
_LONGEST: Final = 10_000  # characters of a path or message
_HASH: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """A document that is stored, or was begun.

    Attributes:
        fingerprint: hash of all that decides its points; see :meth:`.Recipe.fingerprint`.
        chunks: how many chunks were stored; -1 until all of them are.
    """

    id: str
    path: str
    sha256: str
    fingerprint: str
    chunks: int


def journal_name(location: str, collection: str, tenant: str | None) -> str:
    """Name the file of a journal. ``location`` is empty if the file is in the store's folder."""
    if not location and tenant is None:
        return f"{collection}.db"
    names = "\0".join((location, collection, "" if tenant is None else f"tenant:{tenant}"))
    return f"{collection[:100]}-{hashlib.sha256(names.encode()).hexdigest()[:16]}.db"


class Journal(Closeable):
    """The journal of one collection and tenant.

    Args:
        use: ``"make"`` creates the file if it does not exist. It also replaces a damaged one, and
            one of another version, which stays beside the new one. ``"change"`` opens an existing
            file for writing. ``"read"`` opens it and changes nothing.
    """

    def __init__(self, path: Path, tenant: str | None = None, use: Use = "make") -> None:
        self._path = path
        self._tenant = tenant
        self._use = use
        self._gave_up = False
        self._found_full = False
        self._begun: dict[str, JournalEntry] = {}  # documents that are not finished yet
        self._database = self._opened()

    @property
    def gave_up(self) -> bool:
        """Whether the journal could not be used: what it did not return may still exist."""
        return self._gave_up

    def close(self) -> None:
        """Close the file."""
        database, self._database = self._database, None
        if database is not None:
            database.close()

    # -- pages ---------------------------------------------------------------------------------

    def page(self, key: str) -> PageMarkdown | None:
        """Load the page recorded under a key; None if there is none or it cannot be read."""
        rows = self._rows("SELECT content FROM pages WHERE key = ?", key)
        if not rows:
            return None
        try:
            return unpack_page(bytes(rows[0][0]))
        except (ValueError, TypeError) as error:
            _log.warning("a page in %s is damaged and will be parsed again: %s", self._path, error)
            self._write(lambda db: db.execute("DELETE FROM pages WHERE key = ?", (key,)))
            return None

    def pages_of(self, entry: JournalEntry) -> Iterator[tuple[int, PageMarkdown]]:
        """Yield the recorded pages of a document's last content, each with its 0-based index."""
        query = """SELECT page, key FROM places WHERE document = ? AND sha256 = ?
            AND key IS NOT NULL AND failure IS NULL ORDER BY page"""
        for index, key in self._rows(query, entry.id, entry.sha256):
            page = self.page(str(key))
            if page is not None and isinstance(index, int):
                yield index, page

    def occurrences(self, key: str) -> list[tuple[str, str, int]]:
        """List where a page was recorded: the id and sha256 of a document, and a 0-based index."""
        query = "SELECT document, sha256, page FROM places WHERE key = ? LIMIT ?"
        return [
            (str(document), str(sha256), index)
            for document, sha256, index in self._rows(query, key, _MOST_OCCURRENCES)
            if isinstance(index, int)
        ]

    def add_page(self, document: str, sha256: str, key: str, page: PageMarkdown) -> None:
        """Record a parsed page. Once this returns, the record survives a killed process."""
        content = pack_page(page)

        def add(db: sqlite3.Connection) -> None:
            self._record_begun(db, document)
            db.execute("INSERT OR REPLACE INTO pages VALUES (?, ?)", (key, content))
            _add_occurrence(db, document, sha256, page.index, key)

        self._write(add)

    def claim_page(self, document: str, sha256: str, key: str, page: PageMarkdown) -> None:
        """Record that a page recorded earlier occurs in this document, too.

        Otherwise it would be dropped with the last other document that has it, for example when
        two files swap names.
        """
        occurrence = (document, sha256, page.index)
        query = f"SELECT 1 FROM places JOIN pages USING (key) WHERE {_AT_PAGE} AND key = ?"  # noqa: S608
        if self._rows(query, *occurrence, key):
            return

        def claim(db: sqlite3.Connection) -> None:
            self._record_begun(db, document)
            if not db.execute("SELECT 1 FROM pages WHERE key = ?", (key,)).fetchone():
                # Dropped since it was read: another document that had it was finished or deleted.
                db.execute("INSERT INTO pages VALUES (?, ?)", (key, pack_page(page)))
            _add_occurrence(db, *occurrence, key)

        self._write(claim)

    def add_failure(self, document: str, sha256: str, failure: PageFailure) -> None:
        """Record why a page could not be parsed; the next run tries it again.

        A page recorded at the same index, for example by another engine, stays: the store may
        hold its chunks.
        """
        if failure.index is None:
            return
        occurrence = (document, sha256, failure.index)
        # A message may quote bytes of a broken file that have no UTF-8 form.
        why = f"{failure.code}: {failure.message}".encode("utf-8", "backslashreplace").decode()
        insert = """INSERT INTO places VALUES (?, ?, ?, NULL, ?)
            ON CONFLICT DO UPDATE SET failure = excluded.failure"""

        def add(db: sqlite3.Connection) -> None:
            self._record_begun(db, document)
            db.execute(insert, (*occurrence, why[:_LONGEST]))

        self._write(add)

    def _record_begun(self, db: sqlite3.Connection, document: str) -> None:
        """Record a begun document again if that was lost: without it, its pages would stay."""
        entry = self._begun.get(document)
        if entry is not None:
            db.execute("INSERT OR IGNORE INTO documents VALUES (?, ?, ?, ?, ?)", astuple(entry))

    # -- documents -----------------------------------------------------------------------------

    def begin(self, entry: JournalEntry) -> None:
        """Record a document whose pages are about to be read.

        If the run ends early, the document can still be renamed or deleted together with the
        pages that were read.
        """
        begun = self._begun[entry.id] = replace(entry, chunks=-1)
        insert = "INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?, ?)"
        self._write(lambda db: db.execute(insert, astuple(begun)))

    def finish(self, entry: JournalEntry, keys: Mapping[int, str]) -> None:
        """Record a document as stored, without the pages of its earlier contents.

        These pages stay until :meth:`drop_unused`: a file that this run has not looked at yet may
        have them now.

        ``keys`` are those of all its pages by 0-based index, reused pages included.
        """

        def record(db: sqlite3.Connection) -> None:
            db.execute("INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?, ?)", astuple(entry))
            for index, key in keys.items():
                _add_occurrence(db, entry.id, entry.sha256, index, key)
            earlier = "DELETE FROM places WHERE document = ? AND sha256 != ?"
            db.execute(earlier, (entry.id, entry.sha256))

        self._write(record)
        self._begun.pop(entry.id, None)

    def drop_unused(self) -> None:
        """Drop the pages that occur in no document. Call it at the end of a run or a deletion."""
        self._write(lambda db: db.execute(f"DELETE FROM pages WHERE {_UNUSED}"))  # noqa: S608

    def forget(self, documents: Collection[str]) -> None:
        """Drop documents, and those of their pages that occur in no other document."""

        def drop(db: sqlite3.Connection) -> None:
            for one in documents:
                db.execute("DELETE FROM documents WHERE id = ?", (one,))
                _drop_pages(db, "document = ?", (one,))

        self._write(drop)

    def forget_unstored(self, stored: Collection[str]) -> int:
        """Drop begun documents that are not among the ``stored`` ids; return how many there were.

        Drops none while another process has the journal open: it may be reading them.
        """
        begun = [one.id for one in self.entries() if one.chunks < 0 and one.id not in stored]
        if not begun or not self._is_alone():
            return 0
        self.forget(begun)
        return len(begun)

    def _is_alone(self) -> bool:
        with self._usable() as database:
            if database is not None and database.is_alone():
                return True
            _log.warning(
                "documents that were begun are left alone: another process has %s open", self._path
            )
        return False

    def entry(self, document: str) -> JournalEntry | None:
        """Find a document by its id."""
        found = self._entries("WHERE id = ?", document)
        return found[0] if found else None

    def with_content(self, sha256: str) -> list[JournalEntry]:
        """List the documents whose files have exactly these bytes."""
        return self._entries("WHERE sha256 = ?", sha256)

    def entries(self) -> list[JournalEntry]:
        """List all documents, sorted by path."""
        return self._entries("ORDER BY path")

    def failures(self, document: str) -> list[tuple[int, str]]:
        """List the failed pages (0-based) of a document's last content, each with the reason."""
        query = """SELECT page, failure FROM places JOIN documents ON id = document
            WHERE id = ? AND places.sha256 = documents.sha256 AND failure IS NOT NULL
            ORDER BY page"""
        rows = self._rows(query, document)
        return [(index, str(why)[:_LONGEST]) for index, why in rows if isinstance(index, int)]

    def _entries(self, where: str, *values: str) -> list[JournalEntry]:
        query = f"SELECT id, path, sha256, fingerprint, chunks FROM documents {where}"  # noqa: S608  constants
        return [JournalEntry(*row) for row in self._rows(query, *values) if self._is_sound(row)]

    def _is_sound(self, row: tuple[Any, ...]) -> bool:
        """Whether a row can be ours. Points are deleted by its id, so the id must fit its path."""
        document, path, sha256, fingerprint, chunks = row
        texts = all(isinstance(one, str) for one in row[:4]) and isinstance(chunks, int)
        return (
            texts
            and len(path) <= _LONGEST
            and bool(_HASH.fullmatch(sha256) and _HASH.fullmatch(fingerprint))
            and document == document_id(path, sha256, self._tenant)
        )

    # -- the file ------------------------------------------------------------------------------

    def _opened(self) -> Database | None:
        try:
            return self._open()
        except CacheError as error:
            passing = isinstance(error.__cause__, sqlite3.OperationalError | OSError)
            if passing or self._use != "make":
                self._give_up(error)
                return None
            _log.warning("the journal %s is created anew: %s", self._path, error.__cause__ or error)
            version = error.found if isinstance(error, CacheVersion) else None
        try:
            self._move_aside(version)
            return self._open()
        except (CacheError, OSError) as error:
            self._give_up(error)
            return None

    def _open(self) -> Database:
        remedy = "the next ingest moves it aside and creates a new one"
        read_only = self._use == "read"
        return Database(self._path, _SCHEMA, _VERSION, remedy=remedy, read_only=read_only)

    def _rows(self, query: str, *values: str | int) -> list[Any]:
        with self._usable() as database:
            if database is not None:
                with database.read() as db:
                    return db.execute(query, values).fetchall()
        return []

    def _write(self, change: Callable[[sqlite3.Connection], object]) -> None:
        with self._usable() as database:
            if database is not None and self._use != "read":
                with database.write() as db:
                    change(db)

    @contextmanager
    def _usable(self) -> Iterator[Database | None]:
        try:
            yield self._database
        except CacheFull as error:  # somebody may make room while the run goes on
            if not self._found_full:
                _log.warning("pages cannot be recorded and may be parsed again: %s", error)
            self._found_full = True
        except CacheError as error:
            self._give_up(error)
            self.close()
            if type(error.__cause__) is sqlite3.DatabaseError and self._use == "make":
                with suppress(OSError):
                    self._move_aside(None)  # damaged: the next run creates a new one

    def _give_up(self, error: Exception) -> None:
        self._gave_up = True
        _log.warning(
            "the journal %s is not used any more in this run; pages may be parsed again: %s",
            self._path,
            error.__cause__ or error,
        )

    def _move_aside(self, version: int | None) -> None:
        """Delete the file, or rename it if it is of another version."""
        for suffix in ("", "-wal", "-shm"):
            file = Path(f"{self._path}{suffix}")
            if version is None:
                file.unlink(missing_ok=True)
                continue
            kept = Path(f"{self._path}.version-{version}{suffix}")
            kept.unlink(missing_ok=True)
            if file.exists():
                file.rename(kept)


def _add_occurrence(
    db: sqlite3.Connection, document: str, sha256: str, index: int, key: str
) -> None:
    """Record that a page occurs in a document; drop the page that other options recorded there."""
    occurrence = (document, sha256, index)
    other = f"SELECT 1 FROM places WHERE {_AT_PAGE} AND key != ?"  # noqa: S608
    if db.execute(other, (*occurrence, key)).fetchone():
        _drop_pages(db, _AT_PAGE, occurrence)
    db.execute("INSERT OR REPLACE INTO places VALUES (?, ?, ?, ?, NULL)", (*occurrence, key))


def _drop_pages(db: sqlite3.Connection, where: str, values: tuple[str | int, ...]) -> None:
    """Drop occurrences of pages, and the pages that occur nowhere else."""
    keys = db.execute(f"SELECT key FROM places WHERE {where}", values).fetchall()  # noqa: S608
    db.execute(f"DELETE FROM places WHERE {where}", values)  # noqa: S608
    db.executemany(f"DELETE FROM pages WHERE key = ? AND {_UNUSED}", keys)  # noqa: S608
