"""Files and index of a cache stay consistent, despite crashes and other processes."""

from __future__ import annotations

import logging
import os
import resource
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from opticalrag.ingest.core.config import TokenCacheConfig
from opticalrag.ingest.core.errors import CacheError, CacheFull
from opticalrag.ingest.token_cache.blobs import FolderBlobs
from opticalrag.ingest.token_cache.cache import TokenCache
from opticalrag.ingest.token_cache.index import TokenIndex
from opticalrag.ingest.token_cache.lenient import LenientCache

from .test_cache import cache, files, key, ref
from .test_codecs import tokens


def test_folders_and_files_are_private(tmp_path: Path) -> None:
    """Vision tokens contain the text of the document."""
    with cache(tmp_path / "tokens") as store:
        store.store(key(), tokens(), ref())
    for path in [tmp_path / "tokens", *(tmp_path / "tokens").rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_verify_reports_damaged_missing_and_unknown_entries(tmp_path: Path) -> None:
    """Index and files are consistent afterwards."""
    with cache(tmp_path) as store:
        for number in range(4):
            store.store(key(number), tokens(), ref(number))
        for number, action in ((0, "damage"), (1, "remove")):
            file = tmp_path / key(number).digest[:2] / f"{key(number).digest}.safetensors"
            file.unlink() if action == "remove" else file.write_bytes(b"x")
    database = sqlite3.connect(tmp_path / "index.sqlite")
    with database:
        database.execute("DELETE FROM entries WHERE name = ?", (key(2).digest,))
    database.close()
    with cache(tmp_path) as store:
        check = store.verify()
        assert check.damaged == (key(0).digest,)
        assert check.missing == (key(1).digest,)
        assert check.adopted == (key(2).digest,)
        assert store.verify().damaged == store.verify().missing == ()
        assert [file.stem for file in files(tmp_path)] == sorted(
            key(number).digest for number in (2, 3)
        )


def test_an_interrupted_write_is_finished_or_dropped(tmp_path: Path) -> None:
    """The next process to open the cache does so."""
    with cache(tmp_path) as store:
        store.store(key(0), tokens(), ref())
        data = files(tmp_path)[0].read_bytes()
        store._index.announce([key(0).digest, key(1).digest], "write")
        store._index.announce([key(2).digest], "remove")
        FolderBlobs(tmp_path).put(key(2).digest, data)
    database = sqlite3.connect(tmp_path / "index.sqlite")
    with database:  # killed between file and record
        database.execute("DELETE FROM entries")
        database.execute("UPDATE pending SET since = 0")
    database.close()
    with cache(tmp_path) as store:
        assert store.find(key(0)) is not None
        assert store.totals().entries == 1
        assert store._index.pending() == []
        assert [file.stem for file in files(tmp_path)] == [key(0).digest]


# -- other processes --------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for kill -9."""


def interfering(act: Callable[[int], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Call ``act`` after each file that the cache writes, with the count of writes."""
    write, writes = FolderBlobs.put, iter(range(1, 1000))

    def put(self: FolderBlobs, name: str, data: bytes) -> None:
        write(self, name, data)
        act(next(writes))

    monkeypatch.setattr(FolderBlobs, "put", put)


def test_a_write_that_another_process_undid_is_announced_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill after the second try leaves no file without a record."""
    with cache(tmp_path) as store, cache(tmp_path) as other:

        def act(write: int) -> None:
            if write == 2:
                raise Killed
            other.collect(quota=0)

        interfering(act, monkeypatch)
        with pytest.raises(Killed):
            store.store(key(), tokens(), ref())
    with cache(tmp_path) as store:
        assert store.totals().entries == len(files(tmp_path)) == 1


def test_a_write_that_is_always_undone_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bucket may lose every file."""
    with cache(tmp_path) as store:
        monkeypatch.setattr(FolderBlobs, "has", lambda self, name: False)
        with pytest.raises(CacheError, match="are not there"):
            store.store(key(), tokens(), ref())


def test_an_entry_whose_file_vanished_is_written_again(tmp_path: Path) -> None:
    """The file exists when store() returns."""
    with cache(tmp_path) as store:
        for page in (0, 0, 1):
            store.store(key(), tokens(), ref(page))
            files(tmp_path)[0].unlink()
        store.store(key(), tokens(), ref(2))
        assert store.load("doc-1", 2).mode == "gundam"


def test_opening_a_new_cache_waits_for_the_process_that_makes_it(tmp_path: Path) -> None:
    """SQLite does not wait while another connection enters WAL mode."""
    maker = sqlite3.connect(tmp_path / "index.sqlite", check_same_thread=False)
    maker.execute("BEGIN IMMEDIATE")
    done = threading.Timer(0.3, maker.rollback)
    done.start()
    with cache(tmp_path) as store:
        assert store.totals().entries == 0
    done.join()
    maker.close()


def test_a_returned_connection_has_no_open_cursor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one it could not write after another connection had: "database is locked"."""
    tried: list[int] = []

    class Pool(list[sqlite3.Connection]):
        def append(self, db: sqlite3.Connection) -> None:
            with closing(sqlite3.connect(path)) as other, other:
                other.execute("UPDATE entries SET accessed = accessed + 1")
            db.execute("BEGIN IMMEDIATE")
            tried.append(db.execute("SELECT COUNT(*) FROM entries").fetchone()[0])
            db.execute("COMMIT")
            super().append(db)

    with cache(tmp_path) as store:
        for number in range(3):
            store.store(key(number), tokens(), ref(number))
    path = tmp_path / "index.sqlite"
    index = TokenIndex(path)
    try:
        monkeypatch.setattr(index._db, "_idle", Pool())
        assert len(index.oldest_above(0)) == 3
        assert len(index.oldest_above(1)) == 3
        assert index.oldest_above(10**9) == []
    finally:
        index.close()
    assert tried == [3, 3, 3]


def test_threads_that_end_leave_no_open_files(tmp_path: Path) -> None:
    """A server may start a thread per request."""
    with cache(tmp_path) as store:
        store.store(key(), tokens(), ref())
        open_files = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        for _ in range(20):
            thread = threading.Thread(target=store.load, args=("doc-1", 0))
            thread.start()
            thread.join()
        assert len(os.listdir("/proc/self/fd")) <= open_files + 3  # noqa: PTH208


# -- no room, no rights, no luck --------------------------------------------------------------


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_is_a_cache_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No partial file remains."""
    with cache(tmp_path) as store:

        def full(handle: int, mode: str) -> object:
            os.close(handle)
            return open("/dev/full", mode, buffering=0)  # noqa: PTH123

        monkeypatch.setattr("opticalrag.ingest.token_cache.blobs.os.fdopen", full)
        with pytest.raises(CacheError, match="No space left"):
            store.store(key(), tokens(), ref())
        monkeypatch.undo()
        assert files(tmp_path) == []
        assert list((tmp_path / "unfinished").iterdir()) == []
        store.store(key(), tokens(), ref())
        assert store.find(key()) is not None


@contextmanager
def no_room() -> Iterator[None]:
    """Keep every file from growing, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_can_be_read(tmp_path: Path) -> None:
    """An open cache works, and a cache can be opened; writing is an error."""
    with cache(tmp_path) as store:
        store.store(key(), tokens(), ref())
        with no_room():
            assert store.find(key()) is not None
    with no_room(), cache(tmp_path) as store:
        assert store.load("doc-1", 0).mode == "gundam"
        with pytest.raises(CacheFull, match="free disk space"):
            store.store(key(1), tokens(), ref(1))
    with cache(tmp_path) as store:
        store.store(key(1), tokens(), ref(1))


def test_room_can_be_made_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are deleted first, until the index can be written."""
    with cache(tmp_path) as store:
        for number in range(5):
            store.store(key(number), tokens(), ref(number))
        announce = TokenIndex.announce

        def full(self: TokenIndex, names: Sequence[str], action: Any) -> None:
            if len(files(tmp_path)) > 3:
                raise CacheFull("database or disk is full")
            announce(self, names, action)

        monkeypatch.setattr(TokenIndex, "announce", full)
        assert store.collect(quota=store.totals().bytes * 3 // 5) == 2
        assert store.totals().entries == len(files(tmp_path)) == 3
        assert store.verify().missing == ()


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Make a folder read-only; root, who could still write, becomes nobody meanwhile."""
    paths = [folder, *folder.rglob("*")]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        for path in paths:
            path.chmod(0o700 if path.is_dir() else 0o600)


def test_a_read_only_cache_can_be_read() -> None:
    """Writing to it is an error."""
    with tempfile.TemporaryDirectory() as parent:
        Path(parent).chmod(0o755)
        folder = Path(parent) / "tokens"
        with cache(folder) as store:
            store.store(key(), tokens(), ref())
        with read_only(folder), cache(folder) as store:
            assert store.find(key()) is not None
            assert store.load("doc-1", 0).mode == "gundam"
            assert store.totals().entries == len(store.pages()) == 1
            with pytest.raises(CacheError, match="cannot write"):
                store.store(key(1), tokens(), ref(1))


def test_the_error_of_a_damaged_index_says_how_to_rebuild_it(tmp_path: Path) -> None:
    """The files are enough to find tokens by their key."""
    with cache(tmp_path) as store:
        store.store(key(), tokens(), ref())
    (tmp_path / "index.sqlite").write_bytes(b"garbage" * 1000)
    with pytest.raises(CacheError, match=r"delete index.sqlite.*cache verify"):
        cache(tmp_path)
    for file in tmp_path.glob("index.sqlite*"):
        file.unlink()
    with cache(tmp_path) as store:
        assert store.verify().adopted == (key().digest,)
        assert store.find(key()) is not None


def unreadable(folder: Path, number: int) -> None:
    """Put a folder where an entry's file belongs, so that it cannot be read."""
    digest = key(number).digest
    (folder / digest[:2] / f"{digest}.safetensors").mkdir(parents=True)


def test_an_unreadable_entry_does_not_end_a_check(tmp_path: Path) -> None:
    """verify() reports it, leaves it, and checks the others."""
    unreadable(tmp_path, 1)
    with cache(tmp_path) as store:
        store.store(key(0), tokens(), ref())
        check = store.verify()
        assert check.unreadable == (key(1).digest,)
        assert check.entries == 2
        assert check.damaged == check.missing == ()


def test_a_lenient_cache_survives_an_unreadable_entry(tmp_path: Path) -> None:
    """An ingest goes on using its cache for other pages."""
    unreadable(tmp_path, 1)
    with cache(tmp_path) as store:
        lenient = LenientCache(store)
        assert lenient.find(key(1)) is None
        lenient.store(key(2), tokens(), ref(2))
        assert lenient.find(key(2)) is not None


def test_a_cache_that_keeps_failing_is_given_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An ingest goes on without it and logs that once."""

    class Full(TokenCache):
        """A cache on a full disk."""

        def store(self, *arguments: object) -> None:
            """Fail."""
            raise CacheError("no space left on device")

    caplog.set_level(logging.WARNING)
    with Full(TokenCacheConfig(str(tmp_path))) as full:
        lenient = LenientCache(full)
        for number in range(9):
            assert lenient.find(key(number)) is None
            lenient.store(key(number), tokens(), ref(number))
    assert caplog.text.count("no space left on device") == 3
    assert caplog.text.count("from here on") == 1


def test_a_bucket_that_cannot_be_listed_is_a_cache_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fsspec backends raise errors of their own."""
    from fsspec.implementations.memory import MemoryFileSystem

    def fails(self: object, *arguments: object, **options: object) -> None:
        raise RuntimeError("access denied")

    with TokenCache(TokenCacheConfig("memory://bucket/denied"), index=tmp_path) as store:
        monkeypatch.setattr(MemoryFileSystem, "glob", fails)
        with pytest.raises(CacheError, match=r"cannot list .*: access denied"):
            store.verify()
