"""A document's vision tokens as one file: out of one cache and into another."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from opticalrag.ingest.core.errors import CacheCorrupt, CacheError, CacheMiss, ConfigError
from opticalrag.ingest.token_cache.archive import Export, export_document, import_document

from .test_cache import cache, files, key, ref
from .test_codecs import same, tokens


def exported(folder: Path) -> Path:
    """The export of a document of two pages."""
    target = folder / "tokens.zip"
    with cache(folder / "from") as store:
        store.store(key(0), tokens(), ref(0))
        store.store(key(1), tokens(seed=1), ref(1))
        assert export_document(store, "report.pdf", target) == Export(2, 0)
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


@pytest.mark.parametrize(
    "change",
    [
        {"index": 2**63},
        {"index": True},
        {"label": "\ud800"},
        {"name": "a" * 65},
        {"name": 7},
        {"page_count": 10**30},
        {"page_count": -1},
        {"uri": "/\udcff.pdf"},
    ],
)
def test_names_and_numbers_that_cannot_be_are_refused(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    """Huge numbers, and characters that are no text."""
    archive = exported(tmp_path)
    with zipfile.ZipFile(archive) as old:
        manifest = json.loads(old.read("manifest.json"))
    row = manifest["pages"][0]
    for name, value in change.items():
        (row if name in row else row["document"])[name] = value
    forged = rewritten(archive, {"manifest.json": ("manifest.json", json.dumps(manifest).encode())})
    with cache(tmp_path / "to") as store, pytest.raises(CacheCorrupt):
        import_document(store, forged)


def test_any_damage_to_an_archive_is_our_error(tmp_path: Path) -> None:
    """Torn anywhere, or with names in its directory that are no text."""
    whole = exported(tmp_path).read_bytes()
    directory = whole.index(b"PK\x01\x02")
    flags = directory + 8
    no_text = bytearray(whole)
    no_text[flags + 1] |= 8  # says that the name is UTF-8
    no_text[directory + 46] = 0xFF
    damaged = [bytes(no_text), *(whole[:at] for at in range(0, len(whole), 997))]
    past_the_end = bytearray(whole)
    past_the_end[directory + 20 : directory + 28] = (10**6).to_bytes(4, "little") * 2
    with cache(tmp_path / "to") as store:
        for data in (*damaged, bytes(past_the_end)):
            (tmp_path / "damaged.zip").write_bytes(data)
            with pytest.raises(CacheCorrupt):
                import_document(store, tmp_path / "damaged.zip")


def test_an_export_leaves_out_damaged_entries(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With a warning; what is left can be taken in; with nothing left there is no export."""
    target = tmp_path / "tokens.zip"
    with cache(tmp_path / "from") as store:
        for number in range(2):
            store.store(key(number), tokens(seed=number), ref(number))
        damaged, whole = files(tmp_path / "from")
        damaged.write_bytes(damaged.read_bytes()[:-1])
        assert export_document(store, "report.pdf", target) == Export(pages=1, skipped=1)
        assert "left out" in caplog.text
        whole.write_bytes(b"x")
        with pytest.raises(CacheMiss):
            export_document(store, "report.pdf", tmp_path / "none.zip")
    assert not (tmp_path / "none.zip").exists()
    with cache(tmp_path / "to") as store:
        assert import_document(store, target) == 1


def test_an_export_is_private(tmp_path: Path) -> None:
    """Vision tokens are the document."""
    assert exported(tmp_path).stat().st_mode & 0o077 == 0


def test_an_export_to_a_folder_is_wrong_usage(tmp_path: Path) -> None:
    """A file is to be named."""
    with cache(tmp_path / "tokens") as store:
        store.store(key(), tokens(), ref())
        for place in (tmp_path, Path(), Path("/")):
            with pytest.raises(ConfigError, match="is a folder"):
                export_document(store, "report.pdf", place)


def test_an_import_keeps_to_the_quota(tmp_path: Path) -> None:
    """Like any other write."""
    archive = exported(tmp_path)
    with cache(tmp_path / "to", quota=8000) as store:
        import_document(store, archive)
        assert 0 < store.totals().bytes <= 8000


def test_an_import_does_not_replace_better_tokens(tmp_path: Path) -> None:
    """Lossy ones of the same page are linked to what is kept already."""
    from opticalrag.ingest.core.config import TokenCacheConfig
    from opticalrag.ingest.token_cache.cache import TokenCache

    with TokenCache(TokenCacheConfig(str(tmp_path / "from"), codec="int4")) as lossy:
        lossy.store(key(), tokens(), ref())
        export_document(lossy, "report.pdf", tmp_path / "tokens.zip")
    mine = replace(ref().document, id="doc-2", uri="/mine.pdf")
    with cache(tmp_path / "to") as store:
        store.store(key(), tokens(), ref(document=mine))
        import_document(store, tmp_path / "tokens.zip")
        assert same(store.load("doc-1", 0), tokens())
