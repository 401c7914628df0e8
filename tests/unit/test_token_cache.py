"""The vision-token store: what it keeps, for whom, and what it survives."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from opticalrag.ingest.blobs import FolderBlobs
from opticalrag.ingest.config import ConfigError, TokenCacheConfig
from opticalrag.ingest.errors import CacheCorrupt, CacheError, CacheMiss
from opticalrag.ingest.lenient_cache import LenientCache
from opticalrag.ingest.token_archive import export_document, import_document
from opticalrag.ingest.token_cache import TokenCache
from opticalrag.ingest.token_file import TokenKey
from opticalrag.ingest.types import DocumentRef, PageRef

from .test_codecs import KEY, same, tokens

DOCUMENT = DocumentRef("doc-1", "0" * 64, "report.pdf", "/files/report.pdf", 9)


def ref(page: int = 0, document: DocumentRef = DOCUMENT) -> PageRef:
    """A page of the document."""
    return PageRef(document, page, str(page + 1))


def key(number: int = 0, mode: str = "gundam") -> TokenKey:
    """A key of its own."""
    return replace(KEY, page=f"{number:064x}", mode=mode)


def cache(folder: Path, quota: int = 10**9) -> TokenCache:
    """A cache in a folder."""
    return TokenCache(TokenCacheConfig(str(folder), quota))


def files(folder: Path) -> list[Path]:
    """The files of all entries."""
    return sorted(folder.glob("??/*.safetensors"))


def test_what_is_stored_is_found_again(tmp_path: Path) -> None:
    """Also by another cache over the same folder."""
    with cache(tmp_path) as first:
        assert first.find(key()) is None
        first.store(key(), tokens(), ref())
        found = first.find(key())
        assert found is not None
        assert same(found, tokens())
    with cache(tmp_path) as second:
        assert second.load("doc-1", 0).mode == "gundam"
        assert second.load("/files/report.pdf", 0).mode == "gundam"
        assert second.load("report.pdf", 0, weights=KEY.weights).mode == "gundam"


@pytest.mark.parametrize("field", ["page", "profile", "mode", "weights", "preprocessing"])
def test_anything_else_is_a_miss(tmp_path: Path, field: str) -> None:
    """Another page, drawing, mode, model or preprocessing."""
    with cache(tmp_path) as store:
        store.store(key(), tokens(), ref())
        assert store.find(replace(key(), **{field: "other"})) is None
        with pytest.raises(CacheMiss):
            store.load("doc-1", 0, weights="other")
        with pytest.raises(CacheMiss):
            store.load("doc-1", 1)


def test_the_widest_tokens_are_taken_unless_a_mode_is_asked(tmp_path: Path) -> None:
    """A page may be kept in several modes."""
    with cache(tmp_path) as store:
        for mode in ("tiny", "gundam", "base"):
            page = replace(tokens(), mode=mode)
            store.store(key(mode=mode), page, ref())
        assert store.load("doc-1", 0).mode == "gundam"
        assert store.load("doc-1", 0, mode="base").mode == "base"


def test_equal_pages_are_kept_once(tmp_path: Path) -> None:
    """However many documents have them."""
    other = replace(DOCUMENT, id="doc-2", uri="/files/copy.pdf")
    with cache(tmp_path) as store:
        store.store(key(), tokens(), ref())
        store.store(key(), tokens(), ref(document=other))
        store.store(key(), tokens(), ref(5))
        totals = store.totals()
        assert (totals.entries, totals.documents, totals.pages) == (1, 2, 3)
        assert store.load("doc-2", 0).mode == "gundam"


def test_a_name_of_two_documents_is_ambiguous(tmp_path: Path) -> None:
    """The path decides."""
    other = replace(DOCUMENT, id="doc-2", uri="/other/report.pdf")
    with cache(tmp_path) as store:
        store.store(key(), tokens(), ref())
        store.store(key(), tokens(), ref(document=other))
        with pytest.raises(CacheMiss, match="2 documents"):
            store.load("report.pdf", 0)
        assert store.load("/other/report.pdf", 0).mode == "gundam"


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    """Down to the quota, and pinned documents never."""
    pinned = replace(DOCUMENT, id="doc-2", name="kept.pdf")
    with cache(tmp_path) as store:
        store.store(key(0), tokens(), ref(document=pinned))
        size = store.totals().bytes
        assert store.pin("kept.pdf") == 1
        for number in range(1, 6):
            store.store(key(number), tokens(), ref(number))
    with cache(tmp_path, quota=int(3.5 * size)) as store:
        assert store.find(key(1)) is not None  # used now
        store.store(key(9), tokens(), ref(8))
        kept = [number for number in (0, 1, 2, 3, 4, 5, 9) if store.find(key(number))]
        assert kept == [0, 1, 9]
        assert store.totals().bytes == sum(file.stat().st_size for file in files(tmp_path))


@pytest.mark.parametrize("damage", [b"", b"rubbish", None])
def test_a_damaged_entry_is_a_logged_miss(
    tmp_path: Path, damage: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    """And can be stored again."""
    with cache(tmp_path) as store:
        store.store(key(), tokens(), ref())
        (file,) = files(tmp_path)
        if damage is None:
            file.unlink()
        else:
            file.write_bytes(damage + file.read_bytes()[:-1])
        assert store.find(key()) is None
        assert "again" in caplog.text
        store.store(key(), tokens(), ref())
        assert store.find(key()) is not None


def test_verify_tells_damaged_missing_and_unknown(tmp_path: Path) -> None:
    """Afterwards index and files agree."""
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


def test_a_write_that_died_is_finished_or_forgotten(tmp_path: Path) -> None:
    """Whoever opens the cache next looks after what was announced."""
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


def test_threads_share_a_cache(tmp_path: Path) -> None:
    """Writing and reading at once."""
    problems: list[object] = []
    with cache(tmp_path) as store:

        def work(thread: int) -> None:
            for number in range(8):
                store.store(key(number), tokens(), ref(number))
                if store.find(key(number)) is None:
                    problems.append((thread, number))

        threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert problems == []
        assert store.totals().entries == 8


def test_a_bucket_is_shared_by_machines_with_indexes_of_their_own(tmp_path: Path) -> None:
    """Any fsspec place; what one wrote the other finds."""
    place = TokenCacheConfig("memory://bucket/tokens")
    with TokenCache(place, index=tmp_path / "one") as one:
        one.store(key(), tokens(), ref())
    with TokenCache(place, index=tmp_path / "two") as two:
        found = two.find(key())
        assert found is not None
        assert same(found, tokens())
        assert two.find(key(1)) is None
        assert two.verify().entries == 1
        two.collect(quota=0)
        assert two.find(key()) is None


def test_a_bucket_that_cannot_be_reached_is_our_error(tmp_path: Path) -> None:
    """Said when it is opened; no index is made for it."""
    with pytest.raises(CacheError, match="foo"):
        TokenCache(TokenCacheConfig("foo://bucket/x"), index=tmp_path / "index")
    assert not (tmp_path / "index").exists()


def test_folders_and_files_are_private(tmp_path: Path) -> None:
    """Vision tokens are the document."""
    with cache(tmp_path / "tokens") as store:
        store.store(key(), tokens(), ref())
    for path in [tmp_path / "tokens", *(tmp_path / "tokens").rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_an_index_of_another_version_is_refused(tmp_path: Path) -> None:
    """Instead of being misread."""
    database = sqlite3.connect(tmp_path / "index.sqlite")
    database.execute("PRAGMA user_version = 7")
    database.close()
    with pytest.raises(CacheError, match="another version"):
        cache(tmp_path)


def test_a_place_that_is_none_is_refused() -> None:
    """Nor room for nothing."""
    for values in ({"location": " "}, {"quota": 0}):
        with pytest.raises(ConfigError):
            TokenCacheConfig(**values)  # type: ignore[arg-type]


def test_a_file_in_the_way_is_our_error(tmp_path: Path) -> None:
    """A path that cannot be a folder."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(CacheError):
        cache(tmp_path / "file" / "tokens")


def test_a_cache_that_fails_is_given_up_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An ingest goes on without it and says so."""

    class Full(TokenCache):
        """No room for anything."""

        def store(self, *arguments: object) -> None:
            """Fails."""
            raise CacheError("no space left on device")

    caplog.set_level(logging.WARNING)
    with Full(TokenCacheConfig(str(tmp_path))) as full:
        lenient = LenientCache(full)
        for number in range(3):
            assert lenient.find(key(number)) is None
            lenient.store(key(number), tokens(), ref(number))
    assert caplog.text.count("no space left on device") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_is_our_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And leaves nothing behind."""
    with cache(tmp_path) as store:

        def full(handle: int, mode: str) -> object:
            os.close(handle)
            return open("/dev/full", mode, buffering=0)  # noqa: PTH123

        monkeypatch.setattr("opticalrag.ingest.blobs.os.fdopen", full)
        with pytest.raises(CacheError, match="No space left"):
            store.store(key(), tokens(), ref())
        monkeypatch.undo()
        assert files(tmp_path) == []
        assert list((tmp_path / "unfinished").iterdir()) == []
        store.store(key(), tokens(), ref())
        assert store.find(key()) is not None


# -- export and import ----------------------------------------------------------------------


def exported(folder: Path) -> Path:
    """The export of a document of two pages."""
    target = folder / "tokens.zip"
    with cache(folder / "from") as store:
        store.store(key(0), tokens(), ref(0))
        store.store(key(1), tokens(seed=1), ref(1))
        assert export_document(store, "report.pdf", target) == 2
    return target


def test_an_export_is_taken_in_elsewhere(tmp_path: Path) -> None:
    """Pages, names and numbers."""
    archive = exported(tmp_path)
    with cache(tmp_path / "to") as store:
        assert import_document(store, archive) == 2
        assert same(store.load("/files/report.pdf", 1), tokens(seed=1))
        assert [page.label for page in store.pages("doc-1")] == ["1", "2"]


def test_nothing_to_export_is_a_miss(tmp_path: Path) -> None:
    """And no file is made."""
    with cache(tmp_path) as store, pytest.raises(CacheMiss):
        export_document(store, "report.pdf", tmp_path / "x.zip")
    assert not (tmp_path / "x.zip").exists()


def rewritten(archive: Path, changes: dict[str, tuple[str, bytes]], compression: int = 0) -> Path:
    """The archive with entries renamed and replaced."""
    target = archive.with_name("forged.zip")
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(target, "w", compression) as new:
        for info in old.infolist():
            name, data = changes.get(info.filename, (info.filename, old.read(info)))
            new.writestr(name, data or old.read(info))
    return target


@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", "f" * 64])
def test_an_import_cannot_choose_paths(tmp_path: Path, name: str) -> None:
    """Entries are known by their content, wherever they claim to belong."""
    archive = exported(tmp_path)
    digest = key(0).digest
    with zipfile.ZipFile(archive) as old:
        manifest = old.read("manifest.json").replace(digest.encode(), name.encode())
        data = old.read(digest)
    forged = rewritten(
        archive, {digest: (name, data), "manifest.json": ("manifest.json", manifest)}
    )
    with cache(tmp_path / "to") as store:
        with pytest.raises(CacheCorrupt):
            import_document(store, forged)
        assert store.totals().entries == 0
    assert not list(tmp_path.rglob("*evil*"))


def test_a_damaged_or_compressed_entry_is_refused(tmp_path: Path) -> None:
    """Before it is kept."""
    archive = exported(tmp_path)
    damaged = rewritten(archive, {key(0).digest: (key(0).digest, b"x" * 100)})
    with cache(tmp_path / "to") as store:
        with pytest.raises(CacheCorrupt):
            import_document(store, damaged)
        bomb = rewritten(archive, {}, zipfile.ZIP_DEFLATED)
        with pytest.raises(CacheCorrupt, match="compressed"):
            import_document(store, bomb)


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"[]",
        b"{}",
        b'{"version": 9, "pages": []}',
        b'{"version": 1, "pages": [{}]}',
        b'{"version": 1, "pages": [{"name": "x", "index": -1, "label": "", "document": {}}]}',
    ],
)
def test_a_broken_manifest_is_refused(tmp_path: Path, manifest: bytes) -> None:
    """With our error."""
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("manifest.json", manifest)
    with cache(tmp_path / "to") as store, pytest.raises(CacheCorrupt):
        import_document(store, tmp_path / "x.zip")


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    """A PDF, say, or nothing."""
    (tmp_path / "x.zip").write_bytes(b"%PDF-1.7")
    with cache(tmp_path / "to") as store:
        with pytest.raises(CacheCorrupt):
            import_document(store, tmp_path / "x.zip")
        with pytest.raises(CacheError):
            import_document(store, tmp_path / "absent.zip")
