"""What an ingest has done so far, so that the next one need not do it again.

An SQLite file (WAL) beside the store: every page that was parsed, by what it is made of
(:mod:`.page_hash`), from which document it is, and which documents are stored. It only saves work:
the store is the truth, and whatever is lost or cannot be read here is parsed again. Therefore no
method raises; a journal that cannot be used says so once. On a full disk each write is tried.
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
from typing import Any, Final, Literal, TypeVar

from ..core.errors import CacheError, CacheFull, CacheVersion
from ..core.identity import document_id
from ..core.records import PageFailure
from ..markdown.render import PageMarkdown
from ..system.closeable import Closeable
from ..system.sqlite import Database
from .journal_pages import pack_page, unpack_page

__all__ = ["Journal", "JournalEntry", "journal_name"]

_log = logging.getLogger(__name__)
T = TypeVar("T")
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
_AT: Final = "document = ? AND sha256 = ? AND page = ?"
_UNUSED: Final = "NOT EXISTS (SELECT 1 FROM places WHERE places.key = pages.key)"
_PLACES: Final = 100  # of one page that are looked at; a letterhead may stand in 10,000 files
_LONGEST: Final = 10_000  # characters of a path
_HASH: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """A stored document: its file, and by what and as how many chunks it was stored.

    ``chunks`` is -1 while that is not done.
    """

    id: str
    path: str
    sha256: str
    fingerprint: str
    chunks: int


def journal_name(location: str, collection: str, tenant: str | None) -> str:
    """A journal's file name; ``location`` is empty where it lies in the store itself."""
    if not location and tenant is None:
        return f"{collection}.db"
    told = "\0".join((location, collection, "" if tenant is None else f"tenant:{tenant}"))
    return f"{collection[:100]}-{hashlib.sha256(told.encode()).hexdigest()[:16]}.db"


class Journal(Closeable):
    """The journal of one collection and tenant.

    Args:
        path: the file.
        tenant: whose documents it is of.
        use: ``"make"`` it if it is not there, and anew if it is damaged or another version's,
            which is kept beside the new one; ``"change"`` one that is there; or only ``"read"``
            it, and touch nothing.
    """

    def __init__(self, path: Path, tenant: str | None = None, use: Use = "make") -> None:
        self._path = path
        self._tenant = tenant
        self._use = use
        self._gave_up = False
        self._found_full = False
        self._begun: dict[str, JournalEntry] = {}  # documents whose pages are being read
        self._database = self._opened()

    @property
    def gave_up(self) -> bool:
        """Whether it could not be used, so that what it did not say need not be so."""
        return self._gave_up

    def close(self) -> None:
        """Let go of the file."""
        database, self._database = self._database, None
        if database is not None:
            database.close()

    # -- pages ---------------------------------------------------------------------------------

    def page(self, key: str) -> PageMarkdown | None:
        """The page recorded under a key, if there is one and it can be read."""
        row = self._read(
            lambda db: db.execute("SELECT content FROM pages WHERE key = ?", (key,)).fetchone(),
            None,
        )
        if row is None:
            return None
        try:
            return unpack_page(bytes(row[0]))
        except (ValueError, TypeError) as error:
            _log.warning("a page in %s is damaged and is parsed again: %s", self._path, error)
            self._write(lambda db: db.execute("DELETE FROM pages WHERE key = ?", (key,)))
            return None

    def pages_of(self, entry: JournalEntry) -> Iterator[tuple[int, PageMarkdown]]:
        """Recorded pages of a document as it was last, with their 0-based numbers in it."""
        query = """SELECT page, key FROM places WHERE document = ? AND sha256 = ?
            AND key IS NOT NULL AND failure IS NULL ORDER BY page"""
        place = (entry.id, entry.sha256)
        rows: list[Any] = self._read(lambda db: db.execute(query, place).fetchall(), [])
        for number, key in rows:
            page = self.page(str(key))
            if page is not None and isinstance(number, int):
                yield number, page

    def places(self, key: str) -> list[tuple[str, str, int]]:
        """Where a page was recorded: ids and hashes of documents, and 0-based numbers."""
        query = "SELECT document, sha256, page FROM places WHERE key = ? LIMIT ?"
        rows: list[Any] = self._read(lambda db: db.execute(query, (key, _PLACES)).fetchall(), [])
        return [
            (str(one), str(sha256), page) for one, sha256, page in rows if isinstance(page, int)
        ]

    def add_page(self, document: str, sha256: str, key: str, page: PageMarkdown) -> None:
        """Record a page that was parsed; when this returns it outlives a killed process."""
        content = pack_page(page)

        def add(db: sqlite3.Connection) -> None:
            self._name(db, document)
            db.execute("INSERT OR REPLACE INTO pages VALUES (?, ?)", (key, content))
            _place(db, document, sha256, page.index, key)

        self._write(add)

    def claim_page(self, document: str, sha256: str, key: str, page: PageMarkdown) -> None:
        """Record that a page recorded before is one of this document, too.

        Else it would go with the last document that had it, as when two files swap their names.
        """
        place = (document, sha256, page.index)
        query = f"SELECT 1 FROM places JOIN pages USING (key) WHERE {_AT} AND key = ?"  # noqa: S608
        claimed = self._read(lambda db: db.execute(query, (*place, key)).fetchone(), None)
        if claimed is not None:
            return

        def claim(db: sqlite3.Connection) -> None:
            self._name(db, document)
            if not db.execute("SELECT 1 FROM pages WHERE key = ?", (key,)).fetchone():
                # It went since it was read: another document that had it is finished or deleted.
                db.execute("INSERT INTO pages VALUES (?, ?)", (key, pack_page(page)))
            _place(db, *place, key)

        self._write(claim)

    def add_failure(self, document: str, sha256: str, failure: PageFailure) -> None:
        """Record why a page could not be parsed; the next run tries it again.

        What was recorded at its place, as by another engine, stays there: the store may have it.
        """
        if failure.index is None:
            return
        place = (document, sha256, failure.index)
        # What a library quotes of a broken file need not have a UTF-8 form.
        why = f"{failure.code}: {failure.message}".encode("utf-8", "backslashreplace").decode()
        insert = """INSERT INTO places VALUES (?, ?, ?, NULL, ?)
            ON CONFLICT DO UPDATE SET failure = excluded.failure"""

        def add(db: sqlite3.Connection) -> None:
            self._name(db, document)
            db.execute(insert, (*place, why[:_LONGEST]))

        self._write(add)

    def _name(self, db: sqlite3.Connection, document: str) -> None:
        """See that a document is recorded before its page, or nobody could find and delete that.

        The disk may have been full when it was begun, or another process deleted it meanwhile.
        """
        entry = self._begun.get(document)
        if entry is not None:
            db.execute("INSERT OR IGNORE INTO documents VALUES (?, ?, ?, ?, ?)", astuple(entry))

    # -- documents -----------------------------------------------------------------------------

    def begin(self, entry: JournalEntry) -> None:
        """Record a document whose pages are about to be read.

        If that does not come to its end, the document still is one that can vanish, be renamed or
        deleted, with the pages that were read.
        """
        begun = self._begun[entry.id] = replace(entry, chunks=-1)
        insert = "INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?, ?)"
        self._write(lambda db: db.execute(insert, astuple(begun)))

    def finish(self, entry: JournalEntry, keys: Mapping[int, str]) -> None:
        """Record a document as stored, and drop the pages of its earlier contents.

        Args:
            entry: the document.
            keys: of its pages, by 0-based index; of those taken over from elsewhere, too.
        """

        def record(db: sqlite3.Connection) -> None:
            db.execute("INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?, ?)", astuple(entry))
            for page, key in keys.items():
                _place(db, entry.id, entry.sha256, page, key)
            _drop_places(db, "document = ? AND sha256 != ?", (entry.id, entry.sha256))

        self._write(record)
        self._begun.pop(entry.id, None)

    def forget(self, documents: Collection[str]) -> None:
        """Drop documents, and their pages as far as no other document has them."""

        def drop(db: sqlite3.Connection) -> None:
            for one in documents:
                db.execute("DELETE FROM documents WHERE id = ?", (one,))
                _drop_places(db, "document = ?", (one,))

        self._write(drop)

    def forget_unstored(self, stored: Collection[str]) -> int:
        """Drop documents that were begun and are not among those stored; how many there were.

        While another process has the journal open none goes: it may be a run that reads them.
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
            _log.warning("what was begun is left: another process has %s open", self._path)
        return False

    def entry(self, document: str) -> JournalEntry | None:
        """What is recorded of a document."""
        found = self._entries("WHERE id = ?", document)
        return found[0] if found else None

    def with_content(self, sha256: str) -> list[JournalEntry]:
        """Documents of exactly these bytes."""
        return self._entries("WHERE sha256 = ?", sha256)

    def entries(self) -> list[JournalEntry]:
        """All documents that were stored, by path."""
        return self._entries("ORDER BY path")

    def failures(self, document: str) -> list[tuple[int, str]]:
        """Pages (0-based) of a document's last content that could not be parsed, and why."""
        query = """SELECT page, failure FROM places JOIN documents ON id = document
            WHERE id = ? AND places.sha256 = documents.sha256 AND failure IS NOT NULL
            ORDER BY page"""
        rows: list[Any] = self._read(lambda db: db.execute(query, (document,)).fetchall(), [])
        return [(page, str(why)[:_LONGEST]) for page, why in rows if isinstance(page, int)]

    def _entries(self, where: str, *values: str) -> list[JournalEntry]:
        query = f"SELECT id, path, sha256, fingerprint, chunks FROM documents {where}"  # noqa: S608  constants
        rows: list[Any] = self._read(lambda db: db.execute(query, values).fetchall(), [])
        return [JournalEntry(*row) for row in rows if self._is_sound(row)]

    def _is_sound(self, row: tuple[Any, ...]) -> bool:
        """Whether a row can be one of ours: points are moved and deleted by what it says."""
        name, path, sha256, fingerprint, chunks = row
        texts = all(isinstance(one, str) for one in row[:4]) and isinstance(chunks, int)
        return (
            texts
            and len(path) <= _LONGEST
            and bool(_HASH.fullmatch(sha256) and _HASH.fullmatch(fingerprint))
            and name == document_id(path, sha256, self._tenant)
        )

    # -- the file ------------------------------------------------------------------------------

    def _opened(self) -> Database | None:
        try:
            return self._open()
        except CacheError as error:
            for_now = isinstance(error.__cause__, sqlite3.OperationalError | OSError)
            if for_now or self._use != "make":
                self._give_up(error)
                return None
            _log.warning("the journal %s is made anew: %s", self._path, error.__cause__ or error)
            version = error.found if isinstance(error, CacheVersion) else None
        try:
            self._put_away(version)
            return self._open()
        except (CacheError, OSError) as error:
            self._give_up(error)
            return None

    def _open(self) -> Database:
        remedy = "the next ingest puts it away and begins a new one"
        read_only = self._use == "read"
        return Database(self._path, _SCHEMA, _VERSION, remedy=remedy, read_only=read_only)

    def _read(self, ask: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        with self._usable() as database:
            if database is not None:
                with database.read() as db:
                    return ask(db)
        return otherwise

    def _write(self, change: Callable[[sqlite3.Connection], object]) -> None:
        with self._usable() as database:
            if database is not None and self._use != "read":
                with database.write() as db:
                    change(db)

    @contextmanager
    def _usable(self) -> Iterator[Database | None]:
        try:
            yield self._database
        except CacheFull as error:  # room may be made while the run goes on
            if not self._found_full:
                _log.warning("pages may be parsed again, as they cannot be recorded: %s", error)
            self._found_full = True
        except CacheError as error:
            self._give_up(error)
            self.close()
            if type(error.__cause__) is sqlite3.DatabaseError and self._use == "make":
                with suppress(OSError):
                    self._put_away(None)  # damaged: the next run begins a new one

    def _give_up(self, error: Exception) -> None:
        self._gave_up = True
        _log.warning(
            "the journal %s is not used any more in this run, pages may be parsed again: %s",
            self._path,
            error.__cause__ or error,
        )

    def _put_away(self, version: int | None) -> None:
        """Remove the file, or rename it if it is of another version."""
        for suffix in ("", "-wal", "-shm"):
            file = Path(f"{self._path}{suffix}")
            if version is None:
                file.unlink(missing_ok=True)
                continue
            kept = Path(f"{self._path}.version-{version}{suffix}")
            kept.unlink(missing_ok=True)
            if file.exists():
                file.rename(kept)


def _place(db: sqlite3.Connection, document: str, sha256: str, page: int, key: str) -> None:
    """Say where a page is from; what was recorded there by other options goes."""
    place = (document, sha256, page)
    if db.execute(f"SELECT 1 FROM places WHERE {_AT} AND key != ?", (*place, key)).fetchone():  # noqa: S608
        _drop_places(db, _AT, place)
    db.execute("INSERT OR REPLACE INTO places VALUES (?, ?, ?, ?, NULL)", (*place, key))


def _drop_places(db: sqlite3.Connection, where: str, values: tuple[str | int, ...]) -> None:
    """Drop pages of documents, and their contents where no other document has them."""
    keys = db.execute(f"SELECT key FROM places WHERE {where}", values).fetchall()  # noqa: S608
    db.execute(f"DELETE FROM places WHERE {where}", values)  # noqa: S608
    db.executemany(f"DELETE FROM pages WHERE key = ? AND {_UNUSED}", keys)  # noqa: S608
