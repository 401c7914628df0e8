"""Which vision tokens are kept: an SQLite index that several processes write at once.

A write is announced before the file appears and a removal before it goes, so that whoever
opens the index after a crash knows which files to look at, however many there are.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from .errors import CacheError
from .types import DocumentRef, PageRef

__all__ = ["Entry", "Pending", "StoredPage", "TokenIndex", "Totals"]

_VERSION: Final = 1
_BUSY: Final = 60.0  # seconds to wait for other writers
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entries (
  name TEXT PRIMARY KEY, bytes INTEGER NOT NULL, mode TEXT NOT NULL, weights TEXT NOT NULL,
  codec TEXT NOT NULL, created REAL NOT NULL, accessed REAL NOT NULL, pinned INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS by_access ON entries (pinned, accessed);
CREATE TABLE IF NOT EXISTS pages (
  document TEXT NOT NULL, page INTEGER NOT NULL,
  name TEXT NOT NULL REFERENCES entries ON DELETE CASCADE,
  file TEXT NOT NULL, uri TEXT NOT NULL, sha256 TEXT NOT NULL, page_count INTEGER NOT NULL,
  label TEXT NOT NULL,
  PRIMARY KEY (document, page, name)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_name ON pages (name);
CREATE TABLE IF NOT EXISTS pending (
  name TEXT PRIMARY KEY, action TEXT NOT NULL, since REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS totals (bytes INTEGER NOT NULL, entries INTEGER NOT NULL);
INSERT INTO totals SELECT 0, 0 WHERE NOT EXISTS (SELECT 1 FROM totals);
CREATE TRIGGER IF NOT EXISTS added AFTER INSERT ON entries BEGIN
  UPDATE totals SET bytes = bytes + NEW.bytes, entries = entries + 1; END;
CREATE TRIGGER IF NOT EXISTS removed AFTER DELETE ON entries BEGIN
  UPDATE totals SET bytes = bytes - OLD.bytes, entries = entries - 1; END;
"""

Action = Literal["write", "remove"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One file. ``bytes`` is its size; times are seconds since 1970."""

    name: str
    bytes: int
    mode: str
    weights: str
    codec: str


@dataclass(frozen=True, slots=True)
class Totals:
    """What is kept altogether."""

    bytes: int
    entries: int
    documents: int
    pages: int


@dataclass(frozen=True, slots=True)
class Pending:
    """A write or removal that was begun at ``since`` and is not known to have ended."""

    name: str
    action: Action
    since: float


@dataclass(frozen=True, slots=True)
class StoredPage:
    """A page of a document (``page`` is 0-based) and the entry with its tokens."""

    document: str
    page: int
    name: str
    file: str
    uri: str
    sha256: str
    page_count: int
    label: str
    mode: str
    weights: str
    codec: str
    bytes: int
    pinned: bool
    accessed: float

    @property
    def ref(self) -> PageRef:
        """The page as other stages know it."""
        document = DocumentRef(self.document, self.sha256, self.file, self.uri, self.page_count)
        return PageRef(document, self.page, self.label)


class TokenIndex:
    """The index in one SQLite file; every thread has its own connection.

    Raises:
        CacheError: the file cannot be opened or written, or another version made it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)  # SQLite gives its other files the same rights
        except OSError as error:
            raise CacheError(f"{path.parent} cannot be made: {error}") from error
        with self._write() as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version not in (0, _VERSION):
                raise CacheError(
                    f"{path} was made by another version ({version}, this one writes {_VERSION});"
                    " choose another folder, or delete this one: its tokens can be made again"
                )
            for statement in _statements():
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {_VERSION}")

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()
        self._local = threading.local()

    # -- entries --------------------------------------------------------------------------

    def announce(self, names: Sequence[str], action: Action) -> None:
        """Say that files are about to be written or removed; the last word counts."""
        with self._write() as db:
            _announce(db, names, action)

    def add(self, entry: Entry, ref: PageRef | None, is_there: Callable[[str], bool]) -> bool:
        """Record a file and the page it is of; ends what was announced.

        Args:
            entry: the file.
            ref: the page, if known.
            is_there: asked while nothing can be removed; another process may just have done so.

        Returns:
            Whether it is there and recorded.
        """
        with self._write() as db:
            if not is_there(entry.name):
                return False
            now = time.time()
            db.execute(
                "INSERT OR IGNORE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
                (entry.name, entry.bytes, entry.mode, entry.weights, entry.codec, now, now),
            )
            if ref is not None:
                _link(db, entry.name, ref)
            db.execute("DELETE FROM pending WHERE name = ?", (entry.name,))
            return True

    def link(self, name: str, ref: PageRef) -> None:
        """Record that a file is of a page, too."""
        with self._write() as db:
            _link(db, name, ref)

    def has(self, name: str) -> bool:
        """Whether a file is recorded."""
        with self._read() as db:
            return (
                db.execute("SELECT 1 FROM entries WHERE name = ?", (name,)).fetchone() is not None
            )

    def is_linked(self, name: str, ref: PageRef) -> bool:
        """Whether a file is recorded as of this page of this state of its document."""
        with self._read() as db:
            row = db.execute(
                "SELECT sha256 FROM pages WHERE document = ? AND page = ? AND name = ?",
                (ref.document.id, ref.index, name),
            ).fetchone()
            return row is not None and row[0] == ref.document.sha256

    def touch(self, names: Sequence[str]) -> None:
        """Record that files were used now."""
        with self._write() as db:
            now = time.time()
            db.executemany(
                "UPDATE entries SET accessed = ? WHERE name = ?", [(now, n) for n in names]
            )

    def remove(self, names: Sequence[str], delete: Callable[[str], None]) -> None:
        """Forget files and delete them, while nothing can be recorded; announced beforehand.

        Args:
            names: files.
            delete: deletes one.
        """
        self.announce(names, "remove")
        with self._write() as db:
            for name in names:
                _remove(db, name, delete)

    def remove_if(
        self, names: Sequence[str], delete: Callable[[str], None], is_due: Callable[[str], bool]
    ) -> None:
        """The same for files that look damaged or missing, if they still do.

        Another process may just have written a good one; therefore it is not announced either.

        Args:
            names: files.
            delete: deletes one.
            is_due: asked while nothing can be recorded.
        """
        with self._write() as db:
            for name in filter(is_due, names):
                _remove(db, name, delete)

    def done(self, names: Sequence[str]) -> None:
        """End what was announced."""
        with self._write() as db:
            db.executemany("DELETE FROM pending WHERE name = ?", [(name,) for name in names])

    def oldest_above(self, quota: int) -> list[str]:
        """Files to remove so that at most ``quota`` bytes are left: least recently used first.

        Pinned files are never among them.
        """
        with self._read() as db:
            (total,) = db.execute("SELECT bytes FROM totals").fetchone()
            chosen: list[str] = []
            rows = db.execute("SELECT name, bytes FROM entries WHERE pinned = 0 ORDER BY accessed")
            while total > quota and (row := rows.fetchone()) is not None:
                chosen.append(row[0])
                total -= row[1]
            return chosen

    def pending(self) -> list[Pending]:
        """What was announced and not ended."""
        with self._read() as db:
            return [Pending(*row) for row in db.execute("SELECT name, action, since FROM pending")]

    # -- pages ----------------------------------------------------------------------------

    def pages(self, document: str | None = None) -> list[StoredPage]:
        """Pages by document and number; all, or those of one document.

        Args:
            document: its id, path or file name.
        """
        where = "" if document is None else "WHERE :it IN (document, uri, file)"
        query = f"""SELECT document, page, name, file, uri, sha256, page_count, label, mode,
            weights, codec, bytes, pinned, accessed FROM pages JOIN entries USING (name) {where}
            ORDER BY file, document, page, bytes"""  # noqa: S608  no value is part of the text
        with self._read() as db:
            rows = db.execute(query, {"it": document}).fetchall()
        return [StoredPage(*row) for row in rows]

    def pin(self, names: Sequence[str], pinned: bool) -> None:
        """Keep files whatever the quota, or no longer."""
        with self._write() as db:
            rows = [(pinned, name) for name in names]
            db.executemany("UPDATE entries SET pinned = ? WHERE name = ?", rows)

    def names(self) -> set[str]:
        """All files recorded."""
        with self._read() as db:
            return {row[0] for row in db.execute("SELECT name FROM entries")}

    def totals(self) -> Totals:
        """Sums over everything."""
        with self._read() as db:
            kept = db.execute("SELECT bytes, entries FROM totals").fetchone()
            counted = "SELECT COUNT(DISTINCT document), COUNT(*) FROM pages"
            return Totals(*kept, *db.execute(counted).fetchone())

    # -- connections ----------------------------------------------------------------------

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        try:
            yield self._connection()
        except sqlite3.Error as error:
            raise CacheError(f"{self._path} cannot be read: {error}") from error

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        try:
            db = self._connection()
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")
        except sqlite3.Error as error:
            raise CacheError(
                f"{self._path} cannot be written: {error}; make room, or choose another folder"
            ) from error

    def _connection(self) -> sqlite3.Connection:
        db: sqlite3.Connection | None = getattr(self._local, "db", None)
        if db is None:
            db = sqlite3.connect(
                self._path, timeout=_BUSY, isolation_level=None, check_same_thread=False
            )
            with self._lock:
                self._connections.append(db)
            db.execute("PRAGMA journal_mode = WAL")
            # With WAL a power cut may undo the last commits, never tear one: what they say of
            # files is then found again by name, or the tokens are made again.
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("PRAGMA foreign_keys = ON")
            self._local.db = db
        return db


def _statements() -> Iterator[str]:
    """The schema, statement by statement: executescript would end our transaction."""
    statement = ""
    for line in _SCHEMA.splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _announce(db: sqlite3.Connection, names: Sequence[str], action: Action) -> None:
    now = time.time()
    rows = [(name, action, now) for name in names]
    db.executemany("INSERT OR REPLACE INTO pending VALUES (?, ?, ?)", rows)


def _remove(db: sqlite3.Connection, name: str, delete: Callable[[str], None]) -> None:
    db.execute("DELETE FROM entries WHERE name = ?", (name,))
    delete(name)
    db.execute("DELETE FROM pending WHERE name = ?", (name,))


def _link(db: sqlite3.Connection, name: str, ref: PageRef) -> None:
    document = ref.document
    db.execute(
        "INSERT OR REPLACE INTO pages VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            document.id,
            ref.index,
            name,
            document.name,
            document.uri,
            document.sha256,
            document.page_count,
            ref.label,
        ),
    )
