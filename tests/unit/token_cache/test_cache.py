"""The token cache: finding, loading, eviction, deletion."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from opticalrag.ingest.core.config import TokenCacheConfig
from opticalrag.ingest.core.errors import CacheError, CacheMiss, ConfigError
from opticalrag.ingest.core.records import DocumentRef, PageRef
from opticalrag.ingest.core.vision import TokenKey
from opticalrag.ingest.token_cache.cache import TokenCache

from .test_codecs import KEY, same, tokens

DOCUMENT = DocumentRef("doc-1", "0" * 64, "report.pdf", "/files/report.pdf", 9)


def ref(page: int = 0, document: DocumentRef = DOCUMENT) -> PageRef:
    """Refer to a page of the document."""
    return PageRef(document, page, str(page + 1))


def key(number: int = 0, mode: str = "gundam") -> TokenKey:
    """Make a distinct key."""
    return replace(KEY, page=f"{number:064x}", mode=mode)


def cache(folder: Path, quota: int = 10**9) -> TokenCache:
    """Open a cache in a folder."""
    return TokenCache(TokenCacheConfig(str(folder), quota))


def files(folder: Path) -> list[Path]:
    """List the files of all entries."""
    return sorted(folder.glob("??/*.safetensors"))


def test_stored_tokens_are_found_again(tmp_path: Path) -> None:
    """Another cache on the same folder finds them, too."""
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
def test_a_different_key_is_a_miss(tmp_path: Path, field: str) -> None:
    """Page, rendering, mode, model and preprocessing all count."""
    with cache(tmp_path) as store:
        store.store(key(), tokens(), ref())
        assert store.find(replace(key(), **{field: "other"})) is None
        with pytest.raises(CacheMiss):
            store.load("doc-1", 0, weights="other")
        with pytest.raises(CacheMiss):
            store.load("doc-1", 1)


def test_the_widest_mode_is_loaded_unless_one_is_given(tmp_path: Path) -> None:
    """A page may be stored in several modes."""
    with cache(tmp_path) as store:
        for mode in ("tiny", "gundam", "base"):
            page = replace(tokens(), mode=mode)
            store.store(key(mode=mode), page, ref())
        assert store.load("doc-1", 0).mode == "gundam"
        assert store.load("doc-1", 0, mode="base").mode == "base"


def test_equal_pages_share_an_entry(tmp_path: Path) -> None:
    """The number of documents does not matter."""
    other = replace(DOCUMENT, id="doc-2", uri="/files/copy.pdf")
    with cache(tmp_path) as store:
        store.store(key(), tokens(), ref())
        store.store(key(), tokens(), ref(document=other))
        store.store(key(), tokens(), ref(5))
        totals = store.totals()
        assert (totals.entries, totals.documents, totals.pages) == (1, 2, 3)
        assert store.load("doc-2", 0).mode == "gundam"


def test_a_name_of_two_documents_is_ambiguous(tmp_path: Path) -> None:
    """The path tells them apart."""
    other = replace(DOCUMENT, id="doc-2", uri="/other/report.pdf")
    with cache(tmp_path) as store:
        store.store(key(), tokens(), ref())
        store.store(key(), tokens(), ref(document=other))
        with pytest.raises(CacheMiss, match="2 documents"):
            store.load("report.pdf", 0)
        assert store.load("/other/report.pdf", 0).mode == "gundam"


def test_the_least_recently_used_entries_are_removed_first(tmp_path: Path) -> None:
    """Entries are removed until the cache fits its quota."""
    with cache(tmp_path) as store:
        for number in range(6):
            store.store(key(number), tokens(), ref(number))
        size = store.totals().bytes // 6
    with cache(tmp_path, quota=int(3.5 * size)) as store:
        assert store.find(key(1)) is not None  # used now
        store.store(key(9), tokens(), ref(8))
        kept = [number for number in (0, 1, 2, 3, 4, 5, 9) if store.find(key(number))]
        assert kept == [1, 5, 9]
        assert store.totals().bytes == sum(file.stat().st_size for file in files(tmp_path))


def test_entries_pinned_by_an_older_version_are_removed_last(tmp_path: Path) -> None:
    """Caches of that version may mark entries that the quota did not remove."""
    with cache(tmp_path) as store:
        for number in range(3):
            store.store(key(number), tokens(), ref(number))
    database = sqlite3.connect(tmp_path / "index.sqlite")
    with database:
        database.execute("UPDATE entries SET pinned = 1 WHERE name = ?", (key(0).digest,))
    database.close()
    with cache(tmp_path) as store:
        one = store.totals().bytes // 3
        assert store.collect(quota=one) == 2
        assert [file.stem for file in files(tmp_path)] == [key(0).digest]
        assert store.collect(quota=0) == 1
        assert store.totals().entries == 0


@pytest.mark.parametrize("damage", [b"", b"rubbish", None])
def test_a_damaged_entry_is_a_logged_miss(
    tmp_path: Path, damage: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    """The tokens can be stored again."""
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


def test_threads_share_a_cache(tmp_path: Path) -> None:
    """They write and read at the same time."""
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


def test_machines_share_a_bucket_and_have_their_own_indexes(tmp_path: Path) -> None:
    """One finds the entries that another has written."""
    config = TokenCacheConfig("memory://bucket/tokens")
    with TokenCache(config, index=tmp_path / "one") as one:
        one.store(key(), tokens(), ref())
    with TokenCache(config, index=tmp_path / "two") as two:
        found = two.find(key())
        assert found is not None
        assert same(found, tokens())
        assert two.find(key(1)) is None
        assert two.verify().entries == 1
        two.collect(quota=0)
        assert two.find(key()) is None


def test_an_unreachable_bucket_is_a_cache_error(tmp_path: Path) -> None:
    """Opening it fails and creates no index."""
    with pytest.raises(CacheError, match="foo"):
        TokenCache(TokenCacheConfig("foo://bucket/x"), index=tmp_path / "index")
    assert not (tmp_path / "index").exists()


def test_an_index_of_another_version_is_refused(tmp_path: Path) -> None:
    """It would be misread."""
    database = sqlite3.connect(tmp_path / "index.sqlite")
    database.execute("PRAGMA user_version = 7")
    database.close()
    with pytest.raises(CacheError, match="another version"):
        cache(tmp_path)


def test_an_empty_location_and_a_zero_quota_are_refused() -> None:
    """Both are configuration errors."""
    for values in ({"location": " "}, {"quota": 0}):
        with pytest.raises(ConfigError):
            TokenCacheConfig(**values)  # type: ignore[arg-type]


def test_a_file_in_place_of_the_folder_is_a_cache_error(tmp_path: Path) -> None:
    """The folder cannot be created."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(CacheError):
        cache(tmp_path / "file" / "tokens")


# -- contents, codecs, names ------------------------------------------------------------------


EDITED = replace(DOCUMENT, sha256="1" * 64)


def test_an_edited_file_is_not_answered_from_its_old_content(tmp_path: Path) -> None:
    """Once a page of the new content is stored, pages of the old content are misses."""
    small = replace(tokens(tiles=0, seed=2), mode="tiny")
    with cache(tmp_path) as store:
        store.store(key(0), tokens(), ref(0))
        store.store(key(1), tokens(), ref(1))
        store.store(key(2, "tiny"), small, ref(0, EDITED))
        assert same(store.load("doc-1", 0), small)
        with pytest.raises(CacheMiss):
            store.load("doc-1", 1)
        assert [page.sha256 for page in store.pages()] == [EDITED.sha256]
        assert store.totals().pages == 1
        store.store(key(1), tokens(), ref(1, EDITED))  # this page was not edited
        assert same(store.load("doc-1", 1), tokens())


def test_tokens_of_another_content_are_a_miss(tmp_path: Path) -> None:
    """A caller who gives the hash of the file gets tokens of that content only."""
    with cache(tmp_path) as store:
        store.store(key(), tokens(), ref())
        assert store.load("doc-1", 0, sha256=DOCUMENT.sha256).mode == "gundam"
        with pytest.raises(CacheMiss, match="earlier content"):
            store.load("doc-1", 0, sha256=EDITED.sha256)


def test_a_document_can_be_deleted(tmp_path: Path) -> None:
    """Its earlier contents are deleted, too; entries of other documents stay."""
    other = replace(DOCUMENT, id="doc-2", name="b.pdf", uri="/files/b.pdf")
    with cache(tmp_path) as store:
        store.store(key(0), tokens(), ref(0))
        store.store(key(1), tokens(), ref(1, EDITED))
        store.store(key(2), tokens(), ref(2, EDITED))
        store.store(key(2), tokens(), ref(0, other))
        assert store.delete("report.pdf") == 2
        assert [file.stem for file in files(tmp_path)] == [key(2).digest]
        assert store.load("doc-2", 0).mode == "gundam"
        assert (store.totals().entries, store.totals().documents) == (1, 1)
        with pytest.raises(CacheMiss):
            store.delete("report.pdf")


def test_an_interrupted_deletion_is_finished(tmp_path: Path) -> None:
    """The next process to open the cache removes the announced files."""
    with cache(tmp_path) as store:
        store.store(key(), tokens(), ref())
        store._index.forget("doc-1")
    with cache(tmp_path) as store:
        assert store.totals().entries == 0
        assert files(tmp_path) == []


def test_a_lossless_cache_does_not_find_lossy_tokens(tmp_path: Path) -> None:
    """It overwrites them. A lossy cache finds lossless tokens, and load() takes either."""
    with TokenCache(TokenCacheConfig(str(tmp_path), codec="int4")) as lossy:
        lossy.store(key(), tokens(), ref())
        assert lossy.find(key()) is not None
    with cache(tmp_path) as store:
        assert store.find(key()) is None
        assert store.load("doc-1", 0).mode == "gundam"
        store.store(key(), tokens(), ref())
        found = store.find(key())
        assert found is not None
        assert same(found, tokens())
        assert store.pages()[0].codec == "lossless"
        assert store.totals().bytes == files(tmp_path)[0].stat().st_size
    with TokenCache(TokenCacheConfig(str(tmp_path), codec="int8")) as lossy:
        lossy.store(key(), tokens(), ref(1))
        found = lossy.find(key())
        assert found is not None
        assert same(found, tokens())


def test_a_path_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path takes precedence over the name of another document."""
    here = replace(DOCUMENT, name="b.pdf", uri=str(tmp_path / "sub" / "b.pdf"))
    other = replace(DOCUMENT, id="doc-2", name="b.pdf", uri="/other/b.pdf")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    with cache(tmp_path / "tokens") as store:
        store.store(key(0), tokens(), ref(document=here))
        store.store(key(1), tokens(), ref(document=other))
        assert store.pages("sub/b.pdf")[0].document == "doc-1"
        monkeypatch.chdir(tmp_path / "sub")
        for typed in ("./b.pdf", "../sub/b.pdf", "b.pdf"):
            assert {page.document for page in store.pages(typed)} == {"doc-1"}


def test_a_name_or_number_that_sqlite_cannot_hold_is_a_cache_error(tmp_path: Path) -> None:
    """File names may contain bytes that are not text; integers have 64 bits."""
    with cache(tmp_path) as store:
        for document in (replace(DOCUMENT, name="\udcff.pdf"), replace(DOCUMENT, page_count=2**63)):
            with pytest.raises(CacheError, match="cannot hold"):
                store.store(key(), tokens(), ref(document=document))
        with pytest.raises(CacheError, match="cannot hold"):
            store.load("\udcff.pdf", 0)


def test_a_page_in_two_modes_is_counted_once(tmp_path: Path) -> None:
    """Pages and entries are counted separately."""
    with cache(tmp_path) as store:
        store.store(key(mode="tiny"), replace(tokens(), mode="tiny"), ref())
        store.store(key(mode="gundam"), tokens(), ref())
        assert (store.totals().pages, store.totals().entries) == (1, 2)
