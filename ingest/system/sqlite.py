"""An SQLite file for several threads and processes; raises this library's errors."""

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

_BUSY_SECONDS: Final = 60.0  # to wait for other writers
_RETRY_SECONDS: Final = 0.02  # between tries where SQLite does not wait itself


class _ReadOnly(sqlite3.Connection):
    """A connection to use once: the file may be writable next time."""


class Database:
    """One SQLite file in WAL mode, with a pool of connections.

    On a read-only file system or a full disk, reading still works.

    Args:
        path: the file; created if it does not exist.
        schema: statements that create the tables in an empty file.
        remedy: for error messages, what to do with a file that is damaged or of another version.
        read_only: create and change nothing, not even SQLite's files beside this one.

    Raises:
        CacheVersion: the file has another schema version.
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
            self._prepare(schema, version)
        except CacheError:
            self.close()
            raise

    def _prepare(self, schema: str, version: int) -> None:
        if not self._read_only:
            _make_file(self._path)
        with self.read() as db:
            found = _user_version(db)
        if found not in (0, version):
            raise CacheVersion(
                f"{self._path} was made by another version of this library (schema {found}, this"
                f" one uses {version}); {self._remedy}",
                found,
            )
        if not found:
            if self._read_only:
                raise CacheError(f"{self._path} is empty; {self._remedy}")
            with self.write() as db:
                if _user_version(db) == 0:  # otherwise another process was faster
                    for statement in _statements(schema):
                        db.execute(statement)
                    db.execute(f"PRAGMA user_version = {version}")

    def close(self) -> None:
        """Close all idle connections now, and those in use when they are returned."""
        self._closed = True
        self._close_idle()

    def _close_idle(self) -> None:
        with self._lock:
            while self._idle:
                self._idle.pop().close()

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection for reading."""
        with self._typed_errors("read"), self._lent(self._readable) as db:
            yield db

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection in a transaction, which commits when the body succeeds.

        Raises:
            CacheFull: the disk is full.
            CacheError: the file cannot be written.
        """
        with self._typed_errors("write"), self._lent(self._writable) as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")

    def is_alone(self) -> bool:
        """Whether no other connection, in any process, has the file open.

        The test is to leave WAL mode: SQLite allows that to a sole connection only, and does not
        count killed processes. The next connection enters WAL mode again.
        """
        self._close_idle()
        with (
            self._typed_errors("write"),
            closing(sqlite3.connect(self._path, timeout=0, isolation_level=None)) as db,
        ):
            return _sets_journal_mode(db, "DELETE")

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
                reusable = not self._closed and not isinstance(db, _ReadOnly)
                if reusable:
                    self._idle.append(db)
            if not reusable:
                db.close()

    def _readable(self) -> sqlite3.Connection:
        if self._read_only:
            return self._read_only_connection()
        try:
            return self._writable()
        except sqlite3.OperationalError as error:
            if _is_locked(error):
                raise
            _log.debug("opening %s for reading only: %s", self._path, error)
            return self._read_only_connection()

    def _writable(self) -> sqlite3.Connection:
        db = sqlite3.connect(
            self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            _use_wal(db)
            # In WAL mode a power cut may undo the last commits, but never tears one. Users of
            # this class can lose commits: they find the files again, or make them again.
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("PRAGMA foreign_keys = ON")
            # Deleted rows may hold the text of a page: overwrite them at once.
            db.execute("PRAGMA secure_delete = ON")
        except sqlite3.Error:
            db.close()
            raise
        return db

    def _read_only_connection(self) -> sqlite3.Connection:
        # Without a -wal file there is no writer, so "immutable" is safe. It keeps SQLite from
        # creating files beside this one.
        has_writer = not self._read_only or Path(f"{self._path}-wal").exists()
        for mode in ("mode=ro", "immutable=1") if has_writer else ("immutable=1",):
            db = sqlite3.connect(
                f"{self._path.absolute().as_uri()}?{mode}",
                timeout=_BUSY_SECONDS,
                check_same_thread=False,
                factory=_ReadOnly,
                uri=True,
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
    def _typed_errors(self, action: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _typed_error(error, self._path, action, self._remedy) from error
        except (UnicodeEncodeError, OverflowError) as error:
            raise CacheError(
                f"{self._path} cannot hold a name or number: {error}; rename the document's file"
            ) from error


def _user_version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _make_file(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            path.touch(mode=0o600)  # SQLite gives its other files the same rights
    except OSError as error:
        raise CacheError(f"cannot create {path}: {error}") from error


def _use_wal(db: sqlite3.Connection) -> None:
    """Switch to WAL mode; while another connection does so, SQLite fails instead of waiting."""
    end = time.monotonic() + _BUSY_SECONDS
    while not _sets_journal_mode(db, "WAL", patient=time.monotonic() < end):
        time.sleep(_RETRY_SECONDS)


def _sets_journal_mode(db: sqlite3.Connection, mode: str, *, patient: bool = True) -> bool:
    try:
        db.execute(f"PRAGMA journal_mode = {mode}")
    except sqlite3.OperationalError as error:
        if patient and _is_locked(error):
            return False
        raise
    return True


def _is_locked(error: sqlite3.Error) -> bool:
    return "locked" in str(error)


def _typed_error(error: sqlite3.Error, path: Path, action: str, remedy: str) -> CacheError:
    message = f"cannot {action} {path}: {error}"
    if type(error) is sqlite3.DatabaseError:  # malformed, or not a database
        return CacheError(f"{message}; {remedy}")
    # SQLite's error codes need Python 3.11. A full disk shows as an I/O error when the memory
    # that processes share cannot grow.
    if "is full" in str(error) or "I/O error" in str(error):
        return CacheFull(f"{message}; free disk space")
    return CacheError(
        f"{message}; if another process has it open, try again; or use another folder"
    )


def _statements(schema: str) -> Iterator[str]:
    """Split a schema into statements: executescript would end the transaction."""
    statement = ""
    for line in schema.splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
