"""The SQLite index of a token cache; several processes may write it at once.

Every write and removal of a file is announced here first. After a crash, the next process to open
the index checks only the announced files.

A document is identified by its location. When its file changes, the index remembers the pages of
earlier contents, so that equal pages are found again and all of them can be deleted. Queries
answer from the current content only.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from os.path import normpath
from pathlib import Path
from typing import Final, Literal

from ..core.records import DocumentRef, PageRef
from ..system.closeable import Closeable
from ..system.sqlite import Database

__all__ = ["Entry", "StoredPage", "TokenIndex", "Totals"]

_VERSION: Final = 2
# Nothing sets `pinned` any more. The column stays so that existing caches still open. Entries
# that an older version pinned are removed last.
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entries (
  name TEXT PRIMARY KEY, bytes INTEGER NOT NULL, mode TEXT NOT NULL, weights TEXT NOT NULL,
  codec TEXT NOT NULL, created REAL NOT NULL, accessed REAL NOT NULL, pinned INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS by_access ON entries (pinned, accessed);
CREATE TABLE IF NOT EXISTS pages (
  document TEXT NOT NULL, page INTEGER NOT NULL,
  name TEXT NOT NULL REFERENCES entries ON DELETE CASCADE,
  file TEXT NOT NULL, uri TEXT NOT NULL, sha256 TEXT NOT NULL, page_count INTEGER NOT NULL,
  label TEXT NOT NULL, current INTEGER NOT NULL,
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
CREATE TRIGGER IF NOT EXISTS resized AFTER UPDATE OF bytes ON entries BEGIN
  UPDATE totals SET bytes = bytes - OLD.bytes + NEW.bytes; END;
"""
_ADD: Final = """
INSERT INTO entries VALUES (:name, :bytes, :mode, :weights, :codec, :now, :now, 0)
ON CONFLICT (name) DO UPDATE SET bytes = :bytes, codec = :codec, accessed = :now
"""

Action = Literal["write", "remove"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One file; ``bytes`` is its size."""

    name: str
    bytes: int
    mode: str
    weights: str
    codec: str


@dataclass(frozen=True, slots=True)
class Totals:
    """Size of the whole cache; ``documents`` and ``pages`` count current contents only."""

    bytes: int
    entries: int
    documents: int
    pages: int


@dataclass(frozen=True, slots=True)
class StoredPage:
    """A page of a document and the entry with its tokens.

    ``page`` is 0-based, ``file`` is the file name, ``accessed`` is seconds since 1970.
    """

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
    accessed: float

    @property
    def ref(self) -> PageRef:
        """The page as the other stages represent it."""
        document = DocumentRef(self.document, self.sha256, self.file, self.uri, self.page_count)
        return PageRef(document, self.page, self.label)


class TokenIndex(Closeable):
    """The index in one SQLite file.

    Raises:
        CacheError: the file cannot be opened, or another version made it.
    """

    def __init__(self, path: Path) -> None:
        remedy = (
            f"delete {path.name}* there and run `opticalrag cache verify`, which records the"
            " entries again"
        )
        self._db = Database(path, _SCHEMA, _VERSION, remedy=remedy)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def announce(self, names: Sequence[str], action: Action) -> None:
        """Announce writes or removals of files; a later announcement replaces an earlier one."""
        with self._db.write() as db:
            _announce(db, names, action)

    def add(self, entry: Entry, ref: PageRef | None, exists: Callable[[str], bool]) -> bool:
        """Record a file and its page, if known, and drop the announcement of its write.

        ``exists`` checks that no other process has just removed the file. It runs inside the
        transaction, when none can. Returns whether the file exists and is recorded.
        """
        with self._db.write() as db:
            if not exists(entry.name):
                return False
            db.execute(_ADD, {**asdict(entry), "now": time.time()})
            if ref is not None:
                _link(db, entry.name, ref)
            _drop_pending(db, entry.name)
            return True

    def link(self, name: str, ref: PageRef) -> bool:
        """Record that a file belongs to a page, too; False if the file is not recorded."""
        with self._db.write() as db:
            if known := _codec(db, name) is not None:
                _link(db, name, ref)
            return known

    def codec(self, name: str) -> str | None:
        """Return the codec of a file, or None if the file is not recorded."""
        with self._db.read() as db:
            return _codec(db, name)

    def is_linked(self, name: str, ref: PageRef) -> bool:
        """Whether a file is recorded for this page of the current content of its document."""
        with self._db.read() as db:
            row = db.execute(
                "SELECT 1 FROM pages WHERE (document, page, name, sha256) = (?, ?, ?, ?)"
                " AND current",
                (ref.document.id, ref.index, name, ref.document.sha256),
            ).fetchone()
            return row is not None

    def names_of_page(self, document: str, sha256: str, page: int) -> list[str]:
        """Return the files of a page (0-based) of this content of a document, current or not."""
        with self._db.read() as db:
            rows = db.execute(
                "SELECT name FROM pages WHERE (document, page, sha256) = (?, ?, ?)",
                (document, page, sha256),
            )
            return [row[0] for row in rows.fetchall()]

    def touch(self, name: str) -> None:
        """Set the time of last use of a file to now."""
        with self._db.write() as db:
            db.execute("UPDATE entries SET accessed = ? WHERE name = ?", (time.time(), name))

    def remove(self, names: Sequence[str], delete: Callable[[str], None]) -> None:
        """Announce the removal of files, then delete them and their records.

        ``delete`` runs inside the transaction, so that no other process records the file meanwhile.
        """
        self.announce(names, "remove")
        with self._db.write() as db:
            for name in names:
                _remove(db, name, delete)

    def remove_if(
        self, names: Sequence[str], delete: Callable[[str], None], is_bad: Callable[[str], bool]
    ) -> None:
        """Remove files that were found damaged or missing, if they still are.

        Another process may have just written a good file under the name. So ``is_bad`` checks
        again, inside the transaction, and this announces no removal, which a crash would leave for
        the next process to finish.
        """
        with self._db.write() as db:
            for name in filter(is_bad, names):
                _remove(db, name, delete)

    def drop_pending(self, name: str) -> None:
        """Drop the announcement for a file."""
        with self._db.write() as db:
            _drop_pending(db, name)

    def oldest_above(self, quota: int) -> list[str]:
        """Choose the least recently used files whose removal leaves at most ``quota`` bytes."""
        with self._db.read() as db:
            (total,) = db.execute("SELECT bytes FROM totals").fetchone()
            chosen: list[str] = []
            by_use = "SELECT name, bytes FROM entries ORDER BY pinned, accessed"
            # An open cursor keeps its connection in a read transaction. The next borrower of
            # the connection could not write: SQLite would fail with "database is locked".
            with closing(db.execute(by_use)) as rows:
                while total > quota and (row := rows.fetchone()) is not None:
                    chosen.append(row[0])
                    total -= row[1]
            return chosen

    def pending(self) -> list[tuple[str, Action, float]]:
        """Return (name, action, seconds since 1970) of the announcements that were not dropped."""
        with self._db.read() as db:
            return db.execute("SELECT name, action, since FROM pending").fetchall()

    def pages(self, document: str | None = None, *, former: bool = False) -> list[StoredPage]:
        """List pages, sorted by file name, document and number.

        Args:
            document: id, path or file name of one document; None for all. A file name counts
                only if no document has it as its id or path.
            former: include the pages of earlier contents.
        """
        where = "" if document is None else "AND (:it IN (document, file) OR uri IN (:it, :a, :b))"
        query = f"""SELECT document, page, name, file, uri, sha256, page_count, label, mode,
            weights, codec, bytes, accessed FROM pages JOIN entries USING (name)
            WHERE (current OR :former) {where}
            ORDER BY file, document, page, bytes"""  # noqa: S608  no value is part of the text
        # The locations an ingest of this path would record, as typed and normalized.
        a = str(Path(document or "").absolute())
        b = normpath(a)
        with self._db.read() as db:
            values = {"it": document, "a": a, "b": b, "former": former}
            found = [StoredPage(*row) for row in db.execute(query, values)]
        return [
            it for it in found if document in (it.document, it.uri) or it.uri in (a, b)
        ] or found

    def names(self) -> set[str]:
        """Return the names of all recorded files."""
        with self._db.read() as db:
            return {row[0] for row in db.execute("SELECT name FROM entries")}

    def forget(self, document: str) -> list[str]:
        """Delete the records of a document, by id.

        Announces the removal of the files that belong to no other document, and returns them.
        """
        with self._db.write() as db:
            query = """SELECT DISTINCT name FROM pages AS own WHERE document = ? AND NOT EXISTS
                (SELECT 1 FROM pages WHERE name = own.name AND document <> own.document)"""
            names = [row[0] for row in db.execute(query, (document,)).fetchall()]
            db.execute("DELETE FROM pages WHERE document = ?", (document,))
            _announce(db, names, "remove")
            return names

    def totals(self) -> Totals:
        """Return the size of the cache."""
        with self._db.read() as db:
            sizes = db.execute("SELECT bytes, entries FROM totals").fetchone()
            counted = """SELECT COUNT(DISTINCT document), COUNT(*)
                FROM (SELECT DISTINCT document, page FROM pages WHERE current)"""
            return Totals(*sizes, *db.execute(counted).fetchone())


def _codec(db: sqlite3.Connection, name: str) -> str | None:
    row = db.execute("SELECT codec FROM entries WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def _announce(db: sqlite3.Connection, names: Sequence[str], action: Action) -> None:
    now = time.time()
    rows = [(name, action, now) for name in names]
    db.executemany("INSERT OR REPLACE INTO pending VALUES (?, ?, ?)", rows)


def _remove(db: sqlite3.Connection, name: str, delete: Callable[[str], None]) -> None:
    db.execute("DELETE FROM entries WHERE name = ?", (name,))
    delete(name)
    _drop_pending(db, name)


def _drop_pending(db: sqlite3.Connection, name: str) -> None:
    db.execute("DELETE FROM pending WHERE name = ?", (name,))


def _link(db: sqlite3.Connection, name: str, ref: PageRef) -> None:
    it = ref.document
    db.execute(
        "UPDATE pages SET current = 0 WHERE document = ? AND sha256 <> ?", (it.id, it.sha256)
    )
    page = (it.id, ref.index, name, it.name, it.uri, it.sha256, it.page_count, ref.label)
    db.execute("INSERT OR REPLACE INTO pages VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1)", page)
