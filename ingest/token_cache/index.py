"""Which vision tokens are kept: an SQLite index that several processes write at once.

A write is announced before the file appears and a removal before it goes, so that whoever
opens the index after a crash knows which files to look at, however many there are.

A document is its place. When its file changes, pages of earlier contents are kept in mind (an
equal page is then found again, and all can be deleted), but only the last contents answer.
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

__all__ = ["Entry", "Pending", "StoredPage", "TokenIndex", "Totals"]

_VERSION: Final = 2
# Nothing sets `pinned` any more. The column stays so that caches of version 2 open as before;
# entries pinned in an older cache are removed last.
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
    accessed: float

    @property
    def ref(self) -> PageRef:
        """The page as other stages know it."""
        document = DocumentRef(self.document, self.sha256, self.file, self.uri, self.page_count)
        return PageRef(document, self.page, self.label)


class TokenIndex(Closeable):
    """The index in one SQLite file.

    Raises:
        CacheError: the file cannot be opened, or another version made it.
    """

    def __init__(self, path: Path) -> None:
        remedy = (
            f"delete {path.name}* there and run `opticalrag cache verify`, which takes the entries"
            " in again"
        )
        self._db = Database(path, _SCHEMA, _VERSION, remedy=remedy)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # -- entries --------------------------------------------------------------------------

    def announce(self, names: Sequence[str], action: Action) -> None:
        """Say that files are about to be written or removed; the last word counts."""
        with self._db.write() as db:
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
        with self._db.write() as db:
            if not is_there(entry.name):
                return False
            db.execute(_ADD, {**asdict(entry), "now": time.time()})
            if ref is not None:
                _link(db, entry.name, ref)
            _done(db, entry.name)
            return True

    def link(self, name: str, ref: PageRef) -> bool:
        """Record that a file is of a page, too; whether the file is recorded at all."""
        with self._db.write() as db:
            known = _codec(db, name) is not None
            if known:
                _link(db, name, ref)
            return known

    def codec(self, name: str) -> str | None:
        """By which codec a recorded file keeps its numbers; None if it is not recorded."""
        with self._db.read() as db:
            return _codec(db, name)

    def is_linked(self, name: str, ref: PageRef) -> bool:
        """Whether a file is recorded as of this page of this state of its document."""
        with self._db.read() as db:
            row = db.execute(
                "SELECT 1 FROM pages WHERE (document, page, name, sha256) = (?, ?, ?, ?)"
                " AND current",
                (ref.document.id, ref.index, name, ref.document.sha256),
            ).fetchone()
            return row is not None

    def names_of(self, document: str, sha256: str, page: int) -> list[str]:
        """Files of a page (0-based) of this content of a document, also of an earlier one."""
        with self._db.read() as db:
            rows = db.execute(
                "SELECT name FROM pages WHERE (document, page, sha256) = (?, ?, ?)",
                (document, page, sha256),
            )
            return [row[0] for row in rows.fetchall()]

    def touch(self, names: Sequence[str]) -> None:
        """Record that files were used now."""
        with self._db.write() as db:
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
        with self._db.write() as db:
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
        with self._db.write() as db:
            for name in filter(is_due, names):
                _remove(db, name, delete)

    def done(self, names: Sequence[str]) -> None:
        """End what was announced."""
        with self._db.write() as db:
            for name in names:
                _done(db, name)

    def oldest_above(self, quota: int) -> list[str]:
        """Files to remove so that at most ``quota`` bytes are left: least recently used first."""
        with self._db.read() as db:
            (total,) = db.execute("SELECT bytes FROM totals").fetchone()
            chosen: list[str] = []
            by_use = "SELECT name, bytes FROM entries ORDER BY pinned, accessed"
            # A cursor left open keeps its connection reading, and whoever is lent that next
            # is told at once that the database is locked.
            with closing(db.execute(by_use)) as rows:
                while total > quota and (row := rows.fetchone()) is not None:
                    chosen.append(row[0])
                    total -= row[1]
            return chosen

    def pending(self) -> list[Pending]:
        """What was announced and not ended."""
        with self._db.read() as db:
            return [Pending(*row) for row in db.execute("SELECT name, action, since FROM pending")]

    # -- pages ----------------------------------------------------------------------------

    def pages(self, document: str | None = None, *, former: bool = False) -> list[StoredPage]:
        """Pages by document and number; all, or those of one document.

        Args:
            document: its id or path; or its file name, if nothing has that id or path.
            former: also those of earlier contents of a file.
        """
        where = "" if document is None else "AND (:it IN (document, file) OR uri IN (:it, :a, :b))"
        query = f"""SELECT document, page, name, file, uri, sha256, page_count, label, mode,
            weights, codec, bytes, accessed FROM pages JOIN entries USING (name)
            WHERE (current OR :former) {where}
            ORDER BY file, document, page, bytes"""  # noqa: S608  no value is part of the text
        a, b = _places(document or "")
        with self._db.read() as db:
            asked = {"it": document, "a": a, "b": b, "former": former}
            found = [StoredPage(*row) for row in db.execute(query, asked)]
        return [
            it for it in found if document in (it.document, it.uri) or it.uri in (a, b)
        ] or found

    def names(self) -> set[str]:
        """All files recorded."""
        with self._db.read() as db:
            return {row[0] for row in db.execute("SELECT name FROM entries")}

    def forget(self, document: str) -> list[str]:
        """Forget a document, by id.

        Returns:
            Files that are of no other document; their removal is announced.
        """
        with self._db.write() as db:
            rows = db.execute("SELECT DISTINCT name FROM pages WHERE document = ?", (document,))
            names = [row[0] for row in rows.fetchall()]
            db.execute("DELETE FROM pages WHERE document = ?", (document,))
            alone = [name for name in names if not _is_of_a_page(db, name)]
            _announce(db, alone, "remove")
            return alone

    def totals(self) -> Totals:
        """Sums over everything."""
        with self._db.read() as db:
            kept = db.execute("SELECT bytes, entries FROM totals").fetchone()
            counted = """SELECT COUNT(DISTINCT document), COUNT(*)
                FROM (SELECT DISTINCT document, page FROM pages WHERE current)"""
            return Totals(*kept, *db.execute(counted).fetchone())


def _places(typed: str) -> tuple[str, str]:
    """Where a path leads from here: as an ingest of it would say, and in short."""
    place = str(Path(typed).absolute())
    return place, normpath(place)


def _codec(db: sqlite3.Connection, name: str) -> str | None:
    row = db.execute("SELECT codec FROM entries WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def _is_of_a_page(db: sqlite3.Connection, name: str) -> bool:
    return db.execute("SELECT 1 FROM pages WHERE name = ?", (name,)).fetchone() is not None


def _announce(db: sqlite3.Connection, names: Sequence[str], action: Action) -> None:
    now = time.time()
    rows = [(name, action, now) for name in names]
    db.executemany("INSERT OR REPLACE INTO pending VALUES (?, ?, ?)", rows)


def _remove(db: sqlite3.Connection, name: str, delete: Callable[[str], None]) -> None:
    db.execute("DELETE FROM entries WHERE name = ?", (name,))
    delete(name)
    _done(db, name)


def _done(db: sqlite3.Connection, name: str) -> None:
    db.execute("DELETE FROM pending WHERE name = ?", (name,))


def _link(db: sqlite3.Connection, name: str, ref: PageRef) -> None:
    it = ref.document
    db.execute(
        "UPDATE pages SET current = 0 WHERE document = ? AND sha256 <> ?", (it.id, it.sha256)
    )
    page = (it.id, ref.index, name, it.name, it.uri, it.sha256, it.page_count, ref.label)
    db.execute("INSERT OR REPLACE INTO pages VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1)", page)
