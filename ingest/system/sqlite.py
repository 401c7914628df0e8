"""An SQLite file that several threads and processes write at once, and its errors as ours."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from ..core.errors import CacheError, CacheFull, CacheVersion

__all__ = ["Database"]

_log = logging.getLogger(__name__)

_BUSY: Final = 60.0  # seconds to wait for other writers
_AGAIN: Final = 0.02  # seconds between tries where SQLite does not wait itself


class _ReadOnly(sqlite3.Connection):
    """Not used again: the next one may be able to write."""


class Database:
    """One file in WAL mode. Connections are lent to whoever asks and used again.

    What cannot be written can still be read: on a read-only file system, or a full disk.

    Args:
        path: the file; made if it is not there.
        schema: statements that make an empty file one of ours.
        version: of the schema.
        remedy: what to do about a file that is damaged or of another version.
        read_only: nothing is made or changed, not even a file beside it.

    Raises:
        CacheVersion: another version made the file.
        CacheError: the file cannot be opened.
    """

    def __init__(
        self, path: Path, schema: str, version: int, *, remedy: str, read_only: bool = False
    ) -> None:
        self._path = path
        self._remedy = remedy
        self._read_only = read_only
        self._idle: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._closed = False
        try:
            self._begin(schema, version)
        except CacheError:
            self.close()
            raise

    def _begin(self, schema: str, version: int) -> None:
        if not self._read_only:
            _make_file(self._path)
        if self._version(version) == 0:
            if self._read_only:
                raise CacheError(f"{self._path} is empty; {self._remedy}")
            with self.write() as db:
                if _user_version(db) == 0:  # else another process was faster
                    for statement in _statements(schema):
                        db.execute(statement)
                    db.execute(f"PRAGMA user_version = {version}")

    def close(self) -> None:
        """Close all connections; those in use, when they come back."""
        with self._lock:
            self._closed = True
            while self._idle:
                self._idle.pop().close()

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A connection to read by.

        Raises:
            CacheError: the file cannot be read.
        """
        with self._typed_errors("read"), self._lent(self._readable) as db:
            yield db

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A connection in a transaction: all of the body happens, or nothing.

        Raises:
            CacheFull: the disk has no room.
            CacheError: the file cannot be written.
        """
        with self._typed_errors("written"), self._lent(self._writable) as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")

    def is_alone(self) -> bool:
        """Whether nobody else has the file open, as a run has its journal until it ends.

        SQLite lets the last one only leave WAL, and knows who was killed; the next connection
        goes back to it.

        Raises:
            CacheError: the file cannot be written.
        """
        with self._lock:
            while self._idle:
                self._idle.pop().close()
        with (
            self._typed_errors("written"),
            closing(sqlite3.connect(self._path, timeout=0, isolation_level=None)) as db,
        ):
            return _leaves_wal(db)

    def _version(self, ours: int) -> int:
        with self.read() as db:
            found = _user_version(db)
        if found not in (0, ours):
            raise CacheVersion(
                f"{self._path} was made by another version ({found}, this one writes {ours});"
                f" {self._remedy}",
                found,
            )
        return found

    # -- connections ----------------------------------------------------------------------

    @contextmanager
    def _lent(self, connect: Callable[[], sqlite3.Connection]) -> Iterator[sqlite3.Connection]:
        with self._lock:
            db = self._idle.pop() if self._idle else None
        db = db or connect()
        try:
            yield db
        finally:
            with self._lock:
                keep = not self._closed and not isinstance(db, _ReadOnly)
                if keep:
                    self._idle.append(db)
            if not keep:
                db.close()

    def _readable(self) -> sqlite3.Connection:
        if self._read_only:
            return self._unwritable()
        try:
            return self._writable()
        except sqlite3.OperationalError as error:
            if _is_locked(error):
                raise
            _log.debug("%s is opened to read only: %s", self._path, error)
            return self._unwritable()

    def _writable(self) -> sqlite3.Connection:
        db = sqlite3.connect(
            self._path, timeout=_BUSY, isolation_level=None, check_same_thread=False
        )
        try:
            _use_wal(db)
            # With WAL a power cut may undo the last commits, never tear one: what they say of
            # files is then found again by name, or the tokens are made again.
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("PRAGMA foreign_keys = ON")
            # What is deleted may be the text of a page: not left in the file until overwritten.
            db.execute("PRAGMA secure_delete = ON")
        except sqlite3.Error:
            db.close()
            raise
        return db

    def _unwritable(self) -> sqlite3.Connection:
        """Beside writers if there are any; else SQLite must be told that there are none.

        It would leave files of its own beside one that nobody writes to.
        """
        written = not self._read_only or Path(f"{self._path}-wal").exists()
        for how in ("mode=ro", "immutable=1") if written else ("immutable=1",):
            place = f"{self._path.absolute().as_uri()}?{how}"
            db = sqlite3.connect(
                place, timeout=_BUSY, check_same_thread=False, factory=_ReadOnly, uri=True
            )
            try:
                db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
            except sqlite3.OperationalError as error:
                db.close()
                problem = error
            else:
                return db
        raise problem

    @contextmanager
    def _typed_errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _ours(error, self._path, doing, self._remedy) from error
        except (UnicodeEncodeError, OverflowError) as error:
            raise CacheError(
                f"{self._path} cannot hold a name or number: {error}; rename the file"
            ) from error


def _user_version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _make_file(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            path.touch(mode=0o600)  # SQLite gives its other files the same rights
    except OSError as error:
        raise CacheError(f"{path.parent} cannot be made: {error}") from error


def _use_wal(db: sqlite3.Connection) -> None:
    """Of several that open a new file, one switches it; SQLite lets the others fail at once."""
    end = time.monotonic() + _BUSY
    while not _uses_wal(db, patient=time.monotonic() < end):
        time.sleep(_AGAIN)


def _uses_wal(db: sqlite3.Connection, patient: bool) -> bool:
    try:
        db.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        if patient and _is_locked(error):
            return False
        raise
    return True


def _leaves_wal(db: sqlite3.Connection) -> bool:
    try:
        db.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.OperationalError as error:
        if _is_locked(error):
            return False
        raise
    return True


def _is_locked(error: sqlite3.Error) -> bool:
    return "locked" in str(error)


def _ours(error: sqlite3.Error, path: Path, doing: str, remedy: str) -> CacheError:
    said = f"{path} cannot be {doing}: {error}"
    if type(error) is sqlite3.DatabaseError:  # malformed, or no database
        return CacheError(f"{said}; {remedy}")
    # Python tells SQLite's codes from 3.11 only. An I/O error is how a full disk looks when
    # the memory shared by processes cannot grow.
    if "is full" in str(error) or "I/O error" in str(error):
        return CacheFull(f"{said}; make room: `opticalrag cache gc --quota 0` empties the cache")
    return CacheError(f"{said}; choose another folder, or try again if another process holds it")


def _statements(schema: str) -> Iterator[str]:
    """The schema, statement by statement: executescript would end our transaction."""
    statement = ""
    for line in schema.splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
