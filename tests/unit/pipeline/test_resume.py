"""What an earlier run did is not done again; with real pages and store, and cheap models."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pymupdf
import pytest

from opticalrag.ingest.assembly import open_journal, open_store
from opticalrag.ingest.core.config import IngestOptions, StoreConfig
from opticalrag.ingest.core.errors import CacheFull, ConfigError, StoreError, StoreUnavailable
from opticalrag.ingest.core.records import PageFailure
from opticalrag.ingest.core.schema import Field
from opticalrag.ingest.documents.sources import roots_of
from opticalrag.ingest.maintenance.maintenance import delete_document, verify_store
from opticalrag.ingest.markdown.render import page_markdown
from opticalrag.ingest.pipeline.journal import Journal
from opticalrag.ingest.pipeline.journal_pages import pack_page
from opticalrag.ingest.pipeline.report import IngestReport
from opticalrag.ingest.store.store import QdrantStore
from opticalrag.ingest.system.sqlite import Database

from ...builders import block, page
from ...chaos.ingester import TextEngine, ingest
from .test_pipeline import page_text, write_pdf


class Place:
    """A folder of files, a store, and the journal in it."""

    def __init__(self, root: Path) -> None:
        self.files = root / "files"
        self.files.mkdir()
        self.config = StoreConfig(str(root / "store"))
        self.store = open_store(self.config, create=True)
        self.log = root / "parsed"

    def run(self, **options: Any) -> IngestReport:
        options.setdefault("roots", (str(self.files),))
        journal = open_journal(self.config, create=True)
        assert journal is not None
        with journal:
            return ingest(self.files, self.store, journal, self.log, IngestOptions(**options))

    @property
    def journal(self) -> Path:
        return Path(self.config.location, "journal", "opticalrag.db")

    def payloads(self) -> dict[str, dict[str, Any]]:
        assert verify_store(self.store).problems == ()
        records = self.store.scroll(None)
        return {str(r.id): {**(r.payload or {}), Field.INGESTED_AT: ""} for r in records}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    with made.store:
        yield made


def rows(journal: Path) -> dict[str, int]:
    """How many rows each table of a journal has."""
    with sqlite3.connect(journal) as db:
        names = ("documents", "pages", "places")
        found = {one: db.execute(f"SELECT COUNT(*) FROM {one}").fetchone()[0] for one in names}  # noqa: S608
    db.close()
    return found


def as_if_new(place: Place) -> dict[str, dict[str, Any]]:
    """What a run without a past would have stored."""
    with QdrantStore(":memory:") as store:
        ingest(place.files, store)
        records = store.scroll(None)
        return {str(r.id): {**(r.payload or {}), Field.INGESTED_AT: ""} for r in records}


@contextmanager
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A disk on which no database can write."""

    @contextmanager
    def full(self: Database) -> Iterator[sqlite3.Connection]:
        raise CacheFull("database or disk is full")
        yield

    with monkeypatch.context() as filled:
        filled.setattr(Database, "write", full)
        yield


def edit(file: Path, page: int, text: str) -> None:
    """Write something more on a page, as an editor would."""
    document = pymupdf.open(file)
    document[page].insert_textbox(pymupdf.Rect(72, 600, 523, 770), text)
    content = document.tobytes()
    document.close()
    file.write_bytes(content)


def test_one_edited_page_of_300_is_one_page_parsed(place: Place) -> None:
    """Only its chunks are embedded, only its stale points deleted; renamed, none is parsed."""
    file = write_pdf(place.files / "a.pdf", *(page_text(f"valve{n}") for n in range(300)))
    first = place.run()
    edit(file, 149, "The rotor was replaced.")
    edited = place.run()
    stored = place.payloads()

    assert (first.pages_parsed, first.pages_reused, first.embedded) == (300, 0, first.chunks)
    assert (edited.pages, edited.pages_parsed, edited.pages_reused) == (300, 1, 299)
    changed = [p for p in stored.values() if p[Field.PAGES] == [150]]
    assert 0 < edited.embedded <= len(changed) < 8
    assert 0 < edited.points_deleted <= len(changed)
    assert stored == as_if_new(place)

    file.rename(place.files / "b.pdf")
    renamed = place.run()

    assert (renamed.renamed, renamed.pages_parsed, renamed.pages_reused) == (1, 0, 300)
    assert (renamed.embedded, renamed.vectors_copied) == (0, renamed.chunks)
    assert (renamed.vanished, renamed.points_deleted) == ([], renamed.chunks)
    assert place.payloads() == as_if_new(place)
    assert place.run().unchanged == 1

    edit(place.files / "b.pdf", 7, "The stator was replaced.")
    assert place.run().pages_parsed == 1  # the pages went with the name


def test_an_inserted_page_is_the_only_one_parsed_and_embedded(place: Place) -> None:
    """The others moved: their points have new ids and their old vectors."""
    file = write_pdf(place.files / "a.pdf", *(page_text(f"valve{n}") for n in range(5)))
    place.run()
    document = pymupdf.open(file)
    document.new_page(0).insert_text((72, 72), "A new first page.")
    content = document.tobytes()
    document.close()
    file.write_bytes(content)
    report = place.run()

    assert (report.pages_parsed, report.pages_reused) == (1, 5)
    assert (report.embedded, report.vectors_copied) == (1, report.chunks - 1)
    assert place.payloads() == as_if_new(place)


def test_vectors_that_are_copied_are_those_of_the_text(place: Place) -> None:
    """A renamed file is found by the same vectors as if it had been embedded."""
    file = write_pdf(place.files / "a.pdf", page_text("valve"), page_text("pump"))
    place.run()
    file.rename(place.files / "b.pdf")
    place.run()
    with QdrantStore(":memory:") as store:
        ingest(place.files, store)
        ids = {str(record.id) for record in store.scroll(None)}
        expected, found = store.vectors(ids), place.store.vectors(ids)

    assert expected.keys() == found.keys() == ids
    for key in ids:
        assert found[key].dense == pytest.approx(expected[key].dense, abs=1e-6)
        assert found[key].sparse[0] == expected[key].sparse[0]
        assert found[key].sparse[1] == pytest.approx(expected[key].sparse[1])


def test_a_copy_of_a_file_is_another_document(place: Place) -> None:
    """It is neither parsed nor embedded, and the original stays."""
    file = write_pdf(place.files / "a.pdf", page_text("valve"))
    place.run()
    (place.files / "b.pdf").write_bytes(file.read_bytes())
    report = place.run()

    assert (report.renamed, report.unchanged, report.documents) == (0, 1, 2)
    assert (report.pages_parsed, report.embedded) == (0, 0)
    assert place.payloads() == as_if_new(place)


def test_gone_files_are_listed_and_removed_if_asked(place: Place) -> None:
    """Only what was under the places that are looked through."""
    for name in ("a", "b"):
        write_pdf(place.files / f"{name}.pdf", page_text(name))
    place.run()
    (place.files / "b.pdf").unlink()

    assert place.run(roots=(str(place.files / "other"),), prune=True).vanished == []
    listed = place.run()
    assert (listed.vanished, listed.pruned) == ([str(place.files / "b.pdf")], 0)
    assert place.run(dry_run=True, prune=True).pruned == 0
    removed = place.run(prune=True)
    assert (removed.pruned, removed.points_deleted > 0) == (1, True)
    assert place.run().vanished == []
    assert place.payloads() == as_if_new(place)


def test_a_folder_that_is_gone_as_a_whole_is_no_reason_to_remove(place: Place) -> None:
    """It may be a disk that is not mounted."""
    write_pdf(place.files / "a.pdf", page_text("a"))
    place.run()
    place.files.rename(place.files.with_name("elsewhere"))

    assert place.run(prune=True).vanished == []


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(place: Place) -> None:
    """Pages to parse and to take over, renames and gone files."""
    for name in ("a", "b", "c"):
        write_pdf(place.files / f"{name}.pdf", page_text(name), page_text(name * 2))
    place.run()
    before = place.payloads(), place.log.read_text()
    edit(place.files / "a.pdf", 1, "More.")
    (place.files / "b.pdf").rename(place.files / "d.pdf")
    write_pdf(place.files / "e.pdf", page_text("new"))
    (place.files / "c.pdf").unlink()
    said = place.run(dry_run=True)

    assert (said.dry_run, said.documents, said.renamed) == (True, 3, 1)
    assert (said.pages_parsed, said.pages_reused) == (2, 3)
    assert said.vanished == [str(place.files / "c.pdf")]
    records = {str(r.id): r.payload or {} for r in place.store.scroll(None)}
    assert records.keys() == before[0].keys()
    assert place.log.read_text() == before[1]
    done = place.run()
    assert (done.pages_parsed, done.pages_reused, done.renamed) == (2, 3, 1)


def test_force_does_everything_again(place: Place) -> None:
    """Every page is parsed, every chunk embedded and written; nothing is there twice."""
    write_pdf(place.files / "a.pdf", page_text("valve"), page_text("pump"))
    first = place.run()
    again = place.run(force=True)

    assert (again.unchanged, again.pages_parsed) == (0, 2)
    assert again.embedded == again.points_written == first.chunks
    assert place.payloads() == as_if_new(place)


def test_without_its_journal_a_store_is_as_good_but_slower(place: Place) -> None:
    """Unchanged documents are known by the store; an edited one is parsed whole."""
    file = write_pdf(place.files / "a.pdf", page_text("valve"), page_text("pump"))
    place.run()
    place.journal.unlink()
    assert place.run().unchanged == 1
    edit(file, 0, "More.")
    report = place.run()

    assert (report.pages_parsed, report.pages_reused) == (2, 0)
    assert place.payloads() == as_if_new(place)
    file.rename(place.files / "b.pdf")
    assert place.run().pages_parsed == 0


@pytest.mark.parametrize("junk", [b"", b"no database at all" * 500, b"SQLite format 3\0" * 200])
def test_a_damaged_journal_is_made_anew(place: Place, junk: bytes) -> None:
    """With a note; the run is as without one."""
    write_pdf(place.files / "a.pdf", page_text("valve"))
    place.run()
    place.journal.write_bytes(junk)
    write_pdf(place.files / "b.pdf", page_text("pump"))

    assert place.run().unchanged == 1
    assert place.run().unchanged == 2
    assert place.payloads() == as_if_new(place)


def unusable(journal: Path, how: str) -> bytes:
    if how == "other version":
        with sqlite3.connect(journal) as db:
            db.execute("PRAGMA user_version = 7")
        db.close()
    else:
        journal.write_bytes({"empty": b"", "cut": journal.read_bytes()[:5000]}[how])
    return journal.read_bytes()


@pytest.mark.parametrize("how", ["other version", "empty", "cut"])
def test_who_only_looks_leaves_a_journal_as_it_is(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """And its folder, too; a deletion makes none anew either. They go on without one."""
    place = Place(tmp_path)
    with place.store:
        write_pdf(place.files / "a.pdf", page_text("valve"))
        place.run()
    content = unusable(place.journal, how)

    with open_store(place.config) as store:
        assert verify_store(store, place.config).problems == ()
    journal = open_journal(place.config)
    assert journal is not None
    with journal:
        assert journal.entries() == []
        journal.forget(["1"])
    assert [file.name for file in place.journal.parent.iterdir()] == [place.journal.name]
    assert "is not used any more in this run" in caplog.text
    assert "cache verify" not in caplog.text
    if how != "empty":  # which a deletion may fill
        assert delete_document("a.pdf", place.config)[0] == 1
    assert place.journal.read_bytes() == content


def test_looking_leaves_nothing_beside_a_journal(place: Place) -> None:
    """What is recorded is there all the same."""
    write_pdf(place.files / "a.pdf", page_text("valve"))
    place.run()
    content = place.journal.read_bytes()
    journal = open_journal(place.config)

    assert journal is not None
    with journal:
        assert len(journal.entries()) == 1
        journal.forget([journal.entries()[0].id])
        assert len(journal.entries()) == 1
    assert [file.name for file in place.journal.parent.iterdir()] == [place.journal.name]
    assert place.journal.read_bytes() == content


def test_the_journal_of_another_version_is_kept_beside_the_new_one(place: Place) -> None:
    """Whoever goes back to that version has it."""
    write_pdf(place.files / "a.pdf", page_text("valve"))
    place.run()
    content = unusable(place.journal, "other version")
    assert place.run(force=True).pages_parsed == 1

    kept = place.journal.with_name("opticalrag.db.version-7")
    assert kept.read_bytes() == content
    assert place.run().unchanged == 1


def test_a_journal_may_be_closed_by_several_threads_at_once(tmp_path: Path) -> None:
    """As by the run and its background."""
    journals = [Journal(tmp_path / f"{number}.db") for number in range(50)]
    with ThreadPoolExecutor(4) as threads:
        twice = [one for one in journals for _ in range(4)]
        assert list(threads.map(Journal.close, twice)) == [None] * 200


def test_a_damaged_journal_that_cannot_be_removed_ends_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is done without."""

    def forbidding(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(path)

    file = tmp_path / "a.db"
    with Journal(file) as journal:
        file.write_bytes(b"no database at all" * 500)
        monkeypatch.setattr(Path, "unlink", forbidding)
        assert journal.entries() == []
        assert journal.page("a") is None


@pytest.mark.parametrize("content", [b"", bytes(1000), 5])
def test_what_a_journal_says_is_checked(place: Place, content: object) -> None:
    """A page that cannot be read is parsed again, and recorded again."""
    file = write_pdf(place.files / "a.pdf", page_text("valve"), page_text("pump"))
    place.run()
    with sqlite3.connect(place.journal) as db:
        db.execute("UPDATE pages SET content = ?", (content,))
    db.close()
    edit(file, 0, "More.")
    assert place.run().pages_parsed == 2
    edit(file, 0, "Yet more.")

    assert place.run().pages_parsed == 1
    assert place.payloads() == as_if_new(place)


def test_a_document_that_is_not_at_its_path_is_not_moved(place: Place) -> None:
    """An entry whose id is not that of its path could name any points to be deleted."""
    file = write_pdf(place.files / "a.pdf", page_text("valve"))
    place.run()
    with sqlite3.connect(place.journal) as db:
        db.execute("UPDATE documents SET path = '/gone/a.pdf'")
    db.close()
    (place.files / "b.pdf").write_bytes(file.read_bytes())
    report = place.run()

    assert (report.renamed, report.points_deleted, report.vanished) == (0, 0, [])


def test_pages_of_earlier_contents_are_dropped(place: Place) -> None:
    """The journal holds the pages of the documents as they are, once."""
    file = write_pdf(place.files / "a.pdf", page_text("valve"), page_text("pump"))
    for number in range(3):
        edit(file, 0, f"More {number}.")
        place.run()
    with sqlite3.connect(place.journal) as db:
        pages = db.execute("SELECT COUNT(*) FROM pages").fetchone()[0]
        places = db.execute("SELECT COUNT(*) FROM places").fetchone()[0]
    db.close()

    assert (pages, places) == (2, 2)


def test_a_store_that_goes_away_ends_the_run_and_keeps_what_was_parsed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report says so; the next run parses nothing twice."""
    for name in ("a", "b"):
        write_pdf(place.files / f"{name}.pdf", page_text(name), page_text(name * 2))

    def away(self: object, points: object) -> int:
        raise StoreUnavailable("Qdrant at nowhere does not answer")

    with monkeypatch.context() as broken:
        broken.setattr(QdrantStore, "upsert", away)
        report = place.run()

    assert (report.interrupted, report.documents) == (True, 0)
    assert [failure.code for failure in report.failures] == ["store_unavailable"]
    place.run()
    parsed = place.log.read_text().splitlines()
    assert len(parsed) == len(set(parsed)) == 4
    assert place.payloads() == as_if_new(place)


@pytest.mark.parametrize("gone", ["renamed", "removed"])
def test_points_of_a_write_that_was_cut_short_do_not_outlive_their_file(
    place: Place, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    """Renamed or removed before the next run, the file is known by the journal all the same."""
    file = write_pdf(place.files / "a.pdf", page_text("valve"), page_text("pump"))
    (place.files / "not-read.txt").touch()  # an empty folder may be a disk that is not mounted
    upsert = QdrantStore.upsert

    def written_then_away(self: QdrantStore, points: Any) -> int:
        upsert(self, points)
        raise StoreUnavailable("Qdrant at nowhere does not answer")

    with monkeypatch.context() as broken:
        broken.setattr(QdrantStore, "upsert", written_then_away)
        assert place.run().interrupted
    if gone == "renamed":
        file.rename(place.files / "b.pdf")
    else:
        file.unlink()
    report = place.run(prune=True)

    assert (report.renamed, report.pruned) == ((1, 0) if gone == "renamed" else (0, 1))
    assert place.payloads() == as_if_new(place)


def test_a_journal_that_cannot_be_written_is_done_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its folder may be a file, or somebody else's."""
    (tmp_path / "journal").touch()
    with Journal(tmp_path / "journal" / "a.db") as journal:
        assert journal.entries() == []
        assert journal.page("a") is None
    assert "not used" in caplog.text


def test_a_deleted_document_leaves_nothing_in_the_journal(tmp_path: Path) -> None:
    """Pages hold the text of the document; verify does not miss it either."""
    place = Place(tmp_path)
    with place.store:
        for name in ("a", "b"):
            write_pdf(place.files / f"{name}.pdf", page_text(name))
        place.run()
    delete_document("a.pdf", place.config)
    with sqlite3.connect(place.journal) as db:
        pages = db.execute("SELECT COUNT(*) FROM pages").fetchone()[0]
    db.close()

    assert pages == 1
    with open_store(place.config) as store:
        assert verify_store(store, place.config).problems == ()
        (kept,) = store.documents()
        store.delete_documents([kept.document_id])
        assert [p.kind for p in verify_store(store, place.config).problems] == ["lost"]


def test_the_journal_of_a_server_is_on_this_machine(tmp_path: Path) -> None:
    """One for each server, collection and tenant; off is none, and a dry run makes none."""
    places = [
        StoreConfig("http://127.0.0.1:1", journal=str(tmp_path)),
        StoreConfig("http://127.0.0.1:2", journal=str(tmp_path)),
        StoreConfig("http://127.0.0.1:2", "other", journal=str(tmp_path)),
        StoreConfig("http://127.0.0.1:2", tenant="me", journal=str(tmp_path)),
    ]
    assert open_journal(places[0]) is None
    for config in places:
        journal = open_journal(config, create=True)
        assert journal is not None
        journal.close()

    assert len(list(tmp_path.glob("*.db"))) == len(places)
    assert open_journal(StoreConfig(":memory:"), create=True) is None
    assert open_journal(StoreConfig(str(tmp_path), journal="off"), create=True) is None


def test_what_is_looked_through_is_what_was_named(place: Place) -> None:
    """Roots of patterns are their folders; of files and folders, themselves."""
    named = [place.files, place.files / "*.pdf", place.files / "a.pdf"]

    assert roots_of(named) == (str(place.files), str(place.files), str(place.files / "a.pdf"))


def test_verify_says_which_pages_failed_and_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the journal recorded it; the next run parses these pages alone."""
    place = Place(tmp_path)
    write_pdf(place.files / "a.pdf", page_text("valve"), page_text("pump"))
    parse = TextEngine.parse

    def failing(self: TextEngine, tasks: Any) -> Iterator[Any]:
        for outcome in parse(self, tasks):
            ref = outcome.ref
            failure = PageFailure(ref.document.uri, ref.index, "page_failed", "torn")
            yield outcome if ref.index == 0 else failure

    with place.store:
        with monkeypatch.context() as broken:
            broken.setattr(TextEngine, "parse", failing)
            place.run()
        (problem,) = verify_store(place.store, place.config).problems
        assert problem.kind == "unfinished"
        assert problem.detail.endswith("(page 2: page_failed: torn)")
        assert place.run().pages_parsed == 1
        assert verify_store(place.store, place.config).problems == ()


def test_a_name_that_is_no_utf_8_is_as_good_as_any(place: Place) -> None:
    """Of files from older systems, too, it is known whether they are there."""
    name = os.fsdecode(os.fsencode(place.files) + b"/caf\xe9.pdf")
    write_pdf(place.files / "a.pdf", page_text("valve")).rename(name)
    write_pdf(place.files / "b.pdf", page_text("pump"))
    place.run()
    again = place.run(prune=True)

    assert (again.unchanged, again.vanished) == (2, [])
    assert len({payload[Field.FILE_PATH] for payload in place.payloads().values()}) == 2

    Path(name).rename(place.files / "c.pdf")
    renamed = place.run()
    assert (renamed.renamed, renamed.pages_parsed, renamed.embedded) == (1, 0, 0)

    (place.files / "c.pdf").rename(name)
    place.run()
    Path(name).unlink()
    gone = place.run(prune=True)
    assert (gone.vanished, gone.pruned) == ([Path(name).as_uri()], 1)


def test_a_renamed_file_with_a_page_that_fails_keeps_what_was_stored(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under its former name, which is listed as gone until it is pruned or all pages are read."""
    file = write_pdf(place.files / "a.pdf", page_text("valve"), page_text("pump"))
    place.run()
    place.journal.unlink()  # so that the page must be parsed again
    place.run()
    file.rename(place.files / "b.pdf")
    read = TextEngine.parse

    def failing(self: TextEngine, tasks: Any) -> Iterator[Any]:
        for task in tasks:
            outcome = next(iter(read(self, [task])))
            failure = PageFailure(str(task.ref.document.uri), task.ref.index, "crashed", "")
            yield failure if task.ref.index else outcome

    with monkeypatch.context() as broken:
        broken.setattr(TextEngine, "parse", failing)
        partly = place.run(force=True)
    again = place.run()

    assert (partly.renamed, partly.vanished) == (0, [str(file)])
    assert (again.renamed, again.vanished) == (1, [])
    assert place.payloads() == as_if_new(place)


def test_a_copy_on_a_disk_that_is_not_mounted_stays(place: Place) -> None:
    """It is neither renamed nor gone, whether its folder is missing or empty."""
    write_pdf(place.files / "a.pdf", page_text("valve"))
    disk = place.files / "usb"
    disk.mkdir()
    copy = disk / "b.pdf"
    copy.write_bytes((place.files / "a.pdf").read_bytes())
    roots = (str(place.files), str(disk))
    first = place.run(roots=roots)
    disk.rename(place.files.with_name("unplugged"))
    away = place.run(roots=(str(place.files / "a.pdf"), str(disk)), prune=True)
    disk.mkdir()
    empty = place.run(roots=roots, prune=True)

    assert first.documents == 2
    for report in (away, empty):
        assert (report.renamed, report.points_deleted, report.vanished) == (0, 0, [])


def test_gone_files_are_pruned_also_without_a_journal(place: Place) -> None:
    """What is stored, the store says."""
    for name in ("a", "b"):
        write_pdf(place.files / f"{name}.pdf", page_text(name))
    place.run()
    place.journal.unlink()
    (place.files / "b.pdf").unlink()
    report = place.run(prune=True)

    assert (report.vanished, report.pruned) == ([str(place.files / "b.pdf")], 1)
    assert place.payloads() == as_if_new(place)


@pytest.mark.parametrize("gone", ["renamed", "removed"])
def test_a_document_with_a_page_that_failed_can_be_renamed_or_removed(
    place: Place, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    """It is known, although it is not whole."""
    file = write_pdf(place.files / "a.pdf", page_text("valve"), page_text("pump"))
    write_pdf(place.files / "b.pdf", page_text("rotor"))
    read = TextEngine.parse

    def failing(self: TextEngine, tasks: Any) -> Iterator[Any]:
        for task in tasks:
            (outcome,) = read(self, [task])
            failure = PageFailure(task.ref.document.uri, task.ref.index, "crashed", "")
            yield failure if task.ref.index else outcome

    with monkeypatch.context() as broken:
        broken.setattr(TextEngine, "parse", failing)
        place.run()
    if gone == "renamed":
        file.rename(place.files / "c.pdf")
    else:
        file.unlink()
    report = place.run(prune=True)

    assert (report.renamed, report.pruned) == ((1, 0) if gone == "renamed" else (0, 1))
    assert place.payloads() == as_if_new(place)


def test_a_page_recorded_anew_by_other_options_replaces_the_old_one(tmp_path: Path) -> None:
    """The journal keeps no text that belongs to no document."""
    path = tmp_path / "a.db"
    with Journal(path) as journal:
        for key in ("a", "b", "b"):
            journal.add_page("document", "0" * 64, key, page_markdown(page(block("Text."))))
        assert [journal.page(key) is not None for key in "ab"] == [False, True]
        journal.forget(["document"])
        assert journal.page("b") is None


def test_a_document_without_text_is_done_once(place: Place) -> None:
    """It has no point that could say so."""
    write_pdf(place.files / "a.pdf", "")
    first = place.run()
    again = place.run()

    assert (first.documents, first.chunks) == (1, 0)
    assert (again.unchanged, again.pages_reused) == (1, 0)
    assert place.run(force=True).pages_parsed == 1


def test_a_document_is_deleted_by_the_path_that_was_given(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also a relative one; of a name that several have, none is."""
    for folder in ("x", "y"):
        (place.files / folder).mkdir()
        write_pdf(place.files / folder / "a.pdf", page_text(folder))
    monkeypatch.chdir(place.files)
    place.run()
    place.store.close()
    with pytest.raises(ConfigError, match=r"2 documents are named a\.pdf: name one of .*x.a\.pdf"):
        delete_document("a.pdf", place.config)

    assert delete_document("x/a.pdf", place.config)[0] == 1
    assert delete_document("a.pdf", place.config)[0] == 1


def cut_off(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that ends after the first page of a document, of which nothing is stored yet."""
    read = TextEngine.parse

    def dying(self: TextEngine, tasks: Any) -> Iterator[Any]:
        outcomes = read(self, tasks)
        yield next(outcomes)
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(TextEngine, "parse", dying)
        with pytest.raises(KeyboardInterrupt):
            place.run()


@pytest.mark.parametrize("how", ["delete", "prune", "rename"])
def test_text_of_a_document_cut_off_while_it_was_read_can_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Its pages stayed in the journal for good: no document was recorded that they were of."""
    place = Place(tmp_path)
    with place.store:
        file = write_pdf(place.files / "a.pdf", page_text("valve"), page_text("pump"))
        (place.files / "not-read.txt").touch()
        cut_off(place, monkeypatch)
        assert rows(place.journal)["pages"] == 1
        if how == "prune":
            file.unlink()
            assert place.run(prune=True).failures == []
        if how == "rename":
            file.rename(place.files / "b.pdf")
            assert place.run().pages_reused == 1
    if how != "prune":
        name = "a.pdf" if how == "delete" else "b.pdf"
        delete_document(str(place.files / name), place.config)

    assert rows(place.journal) == {"documents": 0, "pages": 0, "places": 0}


def test_a_message_that_is_no_utf_8_ends_no_journal(tmp_path: Path) -> None:
    """A broken file may be quoted in it; the journal was given up for the whole run."""
    with Journal(tmp_path / "a.db") as journal:
        journal.add_failure("document", "0" * 64, PageFailure("a", 0, "damaged", "no \udce9"))
        journal.add_page("document", "0" * 64, "key", page_markdown(page(block("Text."))))
        assert journal.page("key") is not None


def test_pages_that_failed_are_those_of_the_last_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of an edited file's earlier one were named with them."""
    place = Place(tmp_path)
    file = write_pdf(place.files / "a.pdf", page_text("valve"), page_text("pump"))

    def failing(self: TextEngine, tasks: Any) -> Iterator[Any]:
        for task in tasks:
            why = f"torn in {task.ref.document.page_count}"
            yield PageFailure(task.ref.document.uri, task.ref.index, "page_failed", why)

    monkeypatch.setattr(TextEngine, "parse", failing)
    with place.store:
        place.run()
        write_pdf(file, page_text("rotor"))
        place.run()
    journal = open_journal(place.config)
    assert journal is not None
    with journal:
        (entry,) = journal.entries()
        assert journal.failures(entry.id) == [(0, "page_failed: torn in 1")]


def of_tenant(place: Place, name: str) -> Path:
    """Ingest the files of a place for a tenant; the journal of that tenant."""
    config = replace(place.config, tenant=name)
    journal = open_journal(config, create=True)
    assert journal is not None
    with open_store(config) as store, journal:
        ingest(place.files, store, journal)
    return next(one for one in place.journal.parent.glob("*.db") if one != place.journal)


def test_a_tenants_journal_is_told_of_a_deletion_that_names_no_tenant(tmp_path: Path) -> None:
    """The text of its pages stayed in it."""
    place = Place(tmp_path)
    place.store.close()
    write_pdf(place.files / "a.pdf", page_text("valve"))
    journal = of_tenant(place, "me")
    assert rows(journal)["pages"] == 1

    assert delete_document("a.pdf", place.config)[0] == 1
    assert rows(journal) == {"documents": 0, "pages": 0, "places": 0}


def test_a_file_of_several_tenants_is_not_deleted_for_all(tmp_path: Path) -> None:
    """The message says how to name one of them."""
    place = Place(tmp_path)
    place.store.close()
    write_pdf(place.files / "a.pdf", page_text("valve"))
    for name in ("me", "you"):
        of_tenant(place, name)

    with pytest.raises(ConfigError, match=r"a\.pdf \(--tenant me\)"):
        delete_document("a.pdf", place.config)


def test_pruning_for_nobody_in_particular_leaves_tenants_alone(tmp_path: Path) -> None:
    """It removed what they had stored of files that are gone."""
    place = Place(tmp_path)
    write_pdf(place.files / "a.pdf", page_text("valve"))
    (place.files / "not-read.txt").touch()
    with place.store:
        place.run()
    of_tenant(place, "me")
    (place.files / "a.pdf").unlink()
    with open_store(place.config) as place.store:
        assert place.run(prune=True).pruned == 1
        assert [one.tenant for one in place.store.documents()] == ["me"]


def test_a_journal_that_two_runs_begin_at_once_serves_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slower one found the tables there already, and did without a journal."""
    path = tmp_path / "a.db"
    version = Database._version

    def overtaken(self: Database, ours: int) -> int:
        found = version(self, ours)
        monkeypatch.setattr(Database, "_version", version)
        Journal(path).close()
        return found

    monkeypatch.setattr(Database, "_version", overtaken)
    with Journal(path) as journal:
        journal.add_page("document", "0" * 64, "key", page_markdown(page(block("Text."))))
        assert journal.page("key") is not None


def test_what_is_deleted_is_not_left_in_the_file(tmp_path: Path) -> None:
    """SQLite would only mark its place as free."""
    path = tmp_path / "a.db"
    content = pack_page(page_markdown(page(block("Text of a page."))))
    with Journal(path) as journal:
        journal.add_page("document", "0" * 64, "key", page_markdown(page(block("Text of a page."))))
    assert content in path.read_bytes()
    with Journal(path) as journal:
        journal.forget(["document"])

    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert content not in path.read_bytes()


def test_a_disk_that_is_full_for_a_while_costs_a_journal_that_while_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It was given up for the rest of the run; the note stands there once."""
    made = page_markdown(page(block("Text.")))

    with Journal(tmp_path / "a.db") as journal:
        with full_disk(monkeypatch):
            for key in "ab":
                journal.add_page("document", "0" * 64, key, made)
        journal.add_page("document", "0" * 64, "c", made)
        assert [journal.page(key) is not None for key in "abc"] == [False, False, True]
    assert caplog.text.count("cannot be recorded") == 1


def test_pages_taken_over_are_not_lost_with_a_run_cut_off_before_it_is_recorded(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All points of an edited file were stored, and a kill came before the journal's last word."""
    file = write_pdf(place.files / "a.pdf", *(page_text(f"valve{n}") for n in range(5)))
    place.run()
    edit(file, 1, "The rotor was replaced.")
    with monkeypatch.context() as killed:
        killed.setattr(Journal, "finish", lambda *_: None)
        assert place.run().pages_parsed == 1
    assert place.run().unchanged == 1
    edit(file, 2, "The stator was replaced.")
    report = place.run()

    assert (report.pages_parsed, report.pages_reused) == (1, 4)
    assert place.payloads() == as_if_new(place)


def test_a_document_that_cannot_be_pruned_is_a_failure_of_its_own(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report of a run that had done all else was lost; the journal forgets what went only."""
    files = [write_pdf(place.files / f"{name}.pdf", page_text(name)) for name in "abc"]
    place.run()
    for file in files[1:]:
        file.unlink()
    delete = QdrantStore.delete_documents

    def refusing(self: QdrantStore, documents: Any) -> int:
        if place.store.paths()[documents[0]].endswith("b.pdf"):
            raise StoreError("this may not be deleted")
        return delete(self, documents)

    with monkeypatch.context() as broken:
        broken.setattr(QdrantStore, "delete_documents", refusing)
        report = place.run(prune=True)

    assert [(one.file, one.code) for one in report.failures] == [(str(files[1]), "store")]
    assert (report.unchanged, report.pruned, rows(place.journal)["documents"]) == (1, 1, 2)
    assert place.run(prune=True).pruned == 1
    assert place.payloads() == as_if_new(place)
