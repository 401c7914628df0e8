"""A run does not repeat what an earlier one did. Real pages and store; cheap models."""

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
from opticalrag.ingest.system import sqlite
from opticalrag.ingest.system.sqlite import Database

from ...builders import block, page
from ...chaos.ingester import TextEngine, ingest
from .test_pipeline import page_text, write_pdf


class Case:
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
def case(tmp_path: Path) -> Iterator[Case]:
    made = Case(tmp_path)
    with made.store:
        yield made


def rows(journal: Path) -> dict[str, int]:
    """Count the rows of each table of a journal."""
    with sqlite3.connect(journal) as db:
        names = ("documents", "pages", "places")
        found = {one: db.execute(f"SELECT COUNT(*) FROM {one}").fetchone()[0] for one in names}  # noqa: S608
    db.close()
    return found


def as_if_new(case: Case) -> dict[str, dict[str, Any]]:
    """What a first run would store."""
    with QdrantStore(":memory:") as store:
        ingest(case.files, store)
        records = store.scroll(None)
        return {str(r.id): {**(r.payload or {}), Field.INGESTED_AT: ""} for r in records}


@contextmanager
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A disk that is full for every database."""

    @contextmanager
    def full(self: Database) -> Iterator[sqlite3.Connection]:
        raise CacheFull("database or disk is full")
        yield

    with monkeypatch.context() as filled:
        filled.setattr(Database, "write", full)
        yield


def edit(file: Path, page: int, text: str) -> None:
    """Add text to a page, as an editor would."""
    document = pymupdf.open(file)
    document[page].insert_textbox(pymupdf.Rect(72, 600, 523, 770), text)
    content = document.tobytes()
    document.close()
    file.write_bytes(content)


def test_one_edited_page_of_300_is_one_page_parsed(case: Case) -> None:
    """Only its chunks are embedded and its stale points deleted. After a rename, none is parsed.

    The vectors depend on the file's name, not on its folder.
    """
    file = write_pdf(case.files / "a.pdf", *(page_text(f"valve{n}") for n in range(300)))
    first = case.run()
    edit(file, 149, "The rotor was replaced.")
    edited = case.run()
    stored = case.payloads()

    assert (first.pages_parsed, first.pages_reused, first.embedded) == (300, 0, first.chunks)
    assert (edited.pages, edited.pages_parsed, edited.pages_reused) == (300, 1, 299)
    changed = [p for p in stored.values() if p[Field.PAGES] == [150]]
    assert 0 < edited.embedded <= len(changed) < 8
    assert 0 < edited.points_deleted <= len(changed)
    assert stored == as_if_new(case)

    file.rename(case.files / "b.pdf")
    renamed = case.run()

    assert (renamed.renamed, renamed.pages_parsed, renamed.pages_reused) == (1, 0, 300)
    assert (renamed.embedded, renamed.vectors_copied) == (renamed.chunks, 0)
    assert (renamed.vanished, renamed.points_deleted) == ([], renamed.chunks)
    assert case.payloads() == as_if_new(case)
    assert case.run().unchanged == 1

    (case.files / "folder").mkdir()
    (case.files / "b.pdf").rename(case.files / "folder" / "b.pdf")
    moved = case.run()
    assert (moved.renamed, moved.pages_parsed) == (1, 0)
    assert (moved.embedded, moved.vectors_copied) == (0, moved.chunks)

    edit(case.files / "folder" / "b.pdf", 7, "The stator was replaced.")
    assert case.run().pages_parsed == 1  # the pages went with the name


def test_an_inserted_page_is_the_only_one_parsed_and_embedded(case: Case) -> None:
    """The others moved: their points get new ids and keep their vectors."""
    file = write_pdf(case.files / "a.pdf", *(page_text(f"valve{n}") for n in range(5)))
    case.run()
    document = pymupdf.open(file)
    document.new_page(0).insert_text((72, 72), "A new first page.")
    content = document.tobytes()
    document.close()
    file.write_bytes(content)
    report = case.run()

    assert (report.pages_parsed, report.pages_reused) == (1, 5)
    assert (report.embedded, report.vectors_copied) == (1, report.chunks - 1)
    assert case.payloads() == as_if_new(case)


def test_copied_vectors_are_those_of_the_text(case: Case) -> None:
    """A renamed file has the same vectors as if it had been embedded."""
    file = write_pdf(case.files / "a.pdf", page_text("valve"), page_text("pump"))
    case.run()
    file.rename(case.files / "b.pdf")
    case.run()
    with QdrantStore(":memory:") as store:
        ingest(case.files, store)
        ids = {str(record.id) for record in store.scroll(None)}
        expected, found = store.vectors(ids), case.store.vectors(ids)

    assert expected.keys() == found.keys() == ids
    for key in ids:
        assert found[key].dense == pytest.approx(expected[key].dense, abs=1e-6)
        assert found[key].sparse[0] == expected[key].sparse[0]
        assert found[key].sparse[1] == pytest.approx(expected[key].sparse[1])


def test_a_copy_of_a_file_is_another_document(case: Case) -> None:
    """It is not parsed, and not embedded under the same name; the original stays."""
    file = write_pdf(case.files / "a.pdf", page_text("valve"))
    case.run()
    (case.files / "folder").mkdir()
    for name in ("b.pdf", "folder/a.pdf"):
        (case.files / name).write_bytes(file.read_bytes())
    report = case.run()

    assert (report.renamed, report.unchanged, report.documents) == (0, 1, 3)
    assert (report.pages_parsed, report.embedded) == (0, report.chunks / 2)
    assert case.payloads() == as_if_new(case)


def test_gone_files_are_listed_and_pruned_on_request(case: Case) -> None:
    """Only files below the roots."""
    for name in ("a", "b"):
        write_pdf(case.files / f"{name}.pdf", page_text(name))
    case.run()
    (case.files / "b.pdf").unlink()

    assert case.run(roots=(str(case.files / "other"),), prune=True).vanished == []
    listed = case.run()
    assert (listed.vanished, listed.pruned) == ([str(case.files / "b.pdf")], 0)
    assert case.run(dry_run=True, prune=True).pruned == 0
    removed = case.run(prune=True)
    assert (removed.pruned, removed.points_deleted > 0) == (1, True)
    assert case.run().vanished == []
    assert case.payloads() == as_if_new(case)


def test_files_of_a_folder_that_is_gone_are_not_pruned(case: Case) -> None:
    """The folder may be a disk that is not mounted."""
    write_pdf(case.files / "a.pdf", page_text("a"))
    case.run()
    case.files.rename(case.files.with_name("elsewhere"))

    assert case.run(prune=True).vanished == []


def test_a_dry_run_reports_what_would_be_done_and_writes_nothing(case: Case) -> None:
    """Pages to parse and to reuse, renames and gone files."""
    for name in ("a", "b", "c"):
        write_pdf(case.files / f"{name}.pdf", page_text(name), page_text(name * 2))
    case.run()
    before = case.payloads(), case.log.read_text()
    edit(case.files / "a.pdf", 1, "More.")
    (case.files / "b.pdf").rename(case.files / "d.pdf")
    write_pdf(case.files / "e.pdf", page_text("new"))
    (case.files / "c.pdf").unlink()
    said = case.run(dry_run=True)

    assert (said.dry_run, said.documents, said.renamed) == (True, 3, 1)
    assert (said.pages_parsed, said.pages_reused) == (2, 3)
    assert said.vanished == [str(case.files / "c.pdf")]
    records = {str(r.id): r.payload or {} for r in case.store.scroll(None)}
    assert records.keys() == before[0].keys()
    assert case.log.read_text() == before[1]
    done = case.run()
    assert (done.pages_parsed, done.pages_reused, done.renamed) == (2, 3, 1)


def test_force_does_everything_again(case: Case) -> None:
    """Every page is parsed, and every chunk embedded and written; no point is stored twice."""
    write_pdf(case.files / "a.pdf", page_text("valve"), page_text("pump"))
    first = case.run()
    again = case.run(force=True)

    assert (again.unchanged, again.pages_parsed) == (0, 2)
    assert again.embedded == again.points_written == first.chunks
    assert case.payloads() == as_if_new(case)


def test_without_its_journal_a_store_stays_correct(case: Case) -> None:
    """The store knows unchanged documents; an edited one is parsed whole."""
    file = write_pdf(case.files / "a.pdf", page_text("valve"), page_text("pump"))
    case.run()
    case.journal.unlink()
    assert case.run().unchanged == 1
    edit(file, 0, "More.")
    report = case.run()

    assert (report.pages_parsed, report.pages_reused) == (2, 0)
    assert case.payloads() == as_if_new(case)
    file.rename(case.files / "b.pdf")
    assert case.run().pages_parsed == 0


@pytest.mark.parametrize("junk", [b"", b"no database at all" * 500, b"SQLite format 3\0" * 200])
def test_a_damaged_journal_is_created_anew(case: Case, junk: bytes) -> None:
    """The run goes on as without a journal."""
    write_pdf(case.files / "a.pdf", page_text("valve"))
    case.run()
    case.journal.write_bytes(junk)
    write_pdf(case.files / "b.pdf", page_text("pump"))

    assert case.run().unchanged == 1
    assert case.run().unchanged == 2
    assert case.payloads() == as_if_new(case)


def unusable(journal: Path, how: str) -> bytes:
    if how == "other version":
        with sqlite3.connect(journal) as db:
            db.execute("PRAGMA user_version = 7")
        db.close()
    else:
        journal.write_bytes({"empty": b"", "cut": journal.read_bytes()[:5000]}[how])
    return journal.read_bytes()


@pytest.mark.parametrize("how", ["other version", "empty", "cut"])
def test_reading_leaves_an_unusable_journal_as_it_is(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing appears beside it. A deletion does not create one anew either; both do without."""
    case = Case(tmp_path)
    with case.store:
        write_pdf(case.files / "a.pdf", page_text("valve"))
        case.run()
    content = unusable(case.journal, how)

    with open_store(case.config) as store:
        assert verify_store(store, case.config).problems == ()
    journal = open_journal(case.config)
    assert journal is not None
    with journal:
        assert journal.entries() == []
        journal.forget(["1"])
    assert [file.name for file in case.journal.parent.iterdir()] == [case.journal.name]
    assert "is not used any more in this run" in caplog.text
    assert "cache verify" not in caplog.text
    if how != "empty":  # which a deletion may fill
        assert delete_document("a.pdf", case.config)[0] == 1
    assert case.journal.read_bytes() == content


def test_reading_leaves_nothing_beside_a_journal(case: Case) -> None:
    """What is recorded can be read all the same, and a write is ignored."""
    write_pdf(case.files / "a.pdf", page_text("valve"))
    case.run()
    content = case.journal.read_bytes()
    journal = open_journal(case.config)

    assert journal is not None
    with journal:
        assert len(journal.entries()) == 1
        journal.forget([journal.entries()[0].id])
        assert len(journal.entries()) == 1
    assert [file.name for file in case.journal.parent.iterdir()] == [case.journal.name]
    assert case.journal.read_bytes() == content


def test_the_journal_of_another_version_is_kept_beside_the_new_one(case: Case) -> None:
    """It is there for whoever goes back to that version."""
    write_pdf(case.files / "a.pdf", page_text("valve"))
    case.run()
    content = unusable(case.journal, "other version")
    assert case.run(force=True).pages_parsed == 1

    kept = case.journal.with_name("opticalrag.db.version-7")
    assert kept.read_bytes() == content
    assert case.run().unchanged == 1


def test_a_journal_may_be_closed_by_several_threads_at_once(tmp_path: Path) -> None:
    """The run and its background thread may do so."""
    journals = [Journal(tmp_path / f"{number}.db") for number in range(50)]
    with ThreadPoolExecutor(4) as threads:
        twice = [one for one in journals for _ in range(4)]
        assert list(threads.map(Journal.close, twice)) == [None] * 200


def test_a_damaged_journal_that_cannot_be_removed_does_not_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run does without a journal."""

    def forbidding(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(path)

    file = tmp_path / "a.db"
    with Journal(file) as journal:
        file.write_bytes(b"no database at all" * 500)
        monkeypatch.setattr(Path, "unlink", forbidding)
        assert journal.entries() == []
        assert journal.page("a") is None


@pytest.mark.parametrize("content", [b"", bytes(1000), 5])
def test_recorded_pages_are_checked(case: Case, content: object) -> None:
    """A page that cannot be unpacked is parsed and recorded again."""
    file = write_pdf(case.files / "a.pdf", page_text("valve"), page_text("pump"))
    case.run()
    with sqlite3.connect(case.journal) as db:
        db.execute("UPDATE pages SET content = ?", (content,))
    db.close()
    edit(file, 0, "More.")
    assert case.run().pages_parsed == 2
    edit(file, 0, "Yet more.")

    assert case.run().pages_parsed == 1
    assert case.payloads() == as_if_new(case)


def test_a_document_that_is_not_at_its_path_is_not_moved(case: Case) -> None:
    """An entry whose id does not fit its path could delete any points."""
    file = write_pdf(case.files / "a.pdf", page_text("valve"))
    case.run()
    with sqlite3.connect(case.journal) as db:
        db.execute("UPDATE documents SET path = '/gone/a.pdf'")
    db.close()
    (case.files / "b.pdf").write_bytes(file.read_bytes())
    report = case.run()

    assert (report.renamed, report.points_deleted, report.vanished) == (0, 0, [])


def test_pages_of_earlier_contents_are_dropped(case: Case) -> None:
    """The journal holds only the pages of current contents, each once."""
    file = write_pdf(case.files / "a.pdf", page_text("valve"), page_text("pump"))
    for number in range(3):
        edit(file, 0, f"More {number}.")
        case.run()
    with sqlite3.connect(case.journal) as db:
        pages = db.execute("SELECT COUNT(*) FROM pages").fetchone()[0]
        occurrences = db.execute("SELECT COUNT(*) FROM places").fetchone()[0]
    db.close()

    assert (pages, occurrences) == (2, 2)


def test_a_store_that_stops_answering_ends_the_run_and_loses_no_page(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report says so; the next run parses no page again."""
    for name in ("a", "b"):
        write_pdf(case.files / f"{name}.pdf", page_text(name), page_text(name * 2))

    def away(self: object, points: object) -> int:
        raise StoreUnavailable("Qdrant at nowhere does not answer")

    with monkeypatch.context() as broken:
        broken.setattr(QdrantStore, "upsert", away)
        report = case.run()

    assert (report.interrupted, report.documents) == (True, 0)
    assert [failure.code for failure in report.failures] == ["store_unavailable"]
    case.run()
    parsed = case.log.read_text().splitlines()
    assert len(parsed) == len(set(parsed)) == 4
    assert case.payloads() == as_if_new(case)


@pytest.mark.parametrize("gone", ["renamed", "removed"])
def test_points_of_a_write_that_was_cut_short_do_not_outlive_their_file(
    case: Case, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    """The file is renamed or removed before the next run, which knows it from the journal."""
    file = write_pdf(case.files / "a.pdf", page_text("valve"), page_text("pump"))
    (case.files / "not-read.txt").touch()  # an empty folder may be a disk that is not mounted
    upsert = QdrantStore.upsert

    def written_then_away(self: QdrantStore, points: Any) -> int:
        upsert(self, points)
        raise StoreUnavailable("Qdrant at nowhere does not answer")

    with monkeypatch.context() as broken:
        broken.setattr(QdrantStore, "upsert", written_then_away)
        assert case.run().interrupted
    if gone == "renamed":
        file.rename(case.files / "b.pdf")
    else:
        file.unlink()
    report = case.run(prune=True)

    assert (report.renamed, report.pruned) == ((1, 0) if gone == "renamed" else (0, 1))
    assert case.payloads() == as_if_new(case)


def test_a_run_does_without_a_journal_that_cannot_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its folder may be a file, or belong to somebody else."""
    (tmp_path / "journal").touch()
    with Journal(tmp_path / "journal" / "a.db") as journal:
        assert journal.entries() == []
        assert journal.page("a") is None
    assert "not used" in caplog.text


def test_a_deleted_document_leaves_nothing_in_the_journal(tmp_path: Path) -> None:
    """Pages hold the document's text. Verify does not miss the document."""
    case = Case(tmp_path)
    with case.store:
        for name in ("a", "b"):
            write_pdf(case.files / f"{name}.pdf", page_text(name))
        case.run()
    delete_document("a.pdf", case.config)
    with sqlite3.connect(case.journal) as db:
        pages = db.execute("SELECT COUNT(*) FROM pages").fetchone()[0]
    db.close()

    assert pages == 1
    with open_store(case.config) as store:
        assert verify_store(store, case.config).problems == ()
        (kept,) = store.documents()
        store.delete_documents([kept.document_id])
        assert [p.kind for p in verify_store(store, case.config).problems] == ["lost"]


def test_the_journal_of_a_server_is_on_this_machine(tmp_path: Path) -> None:
    """One for each server, collection and tenant; none with "off" or in memory."""
    configs = [
        StoreConfig("http://127.0.0.1:1", journal=str(tmp_path)),
        StoreConfig("http://127.0.0.1:2", journal=str(tmp_path)),
        StoreConfig("http://127.0.0.1:2", "other", journal=str(tmp_path)),
        StoreConfig("http://127.0.0.1:2", tenant="me", journal=str(tmp_path)),
    ]
    assert open_journal(configs[0]) is None
    for config in configs:
        journal = open_journal(config, create=True)
        assert journal is not None
        journal.close()

    assert len(list(tmp_path.glob("*.db"))) == len(configs)
    assert open_journal(StoreConfig(":memory:"), create=True) is None
    assert open_journal(StoreConfig(str(tmp_path), journal="off"), create=True) is None


def test_roots_are_what_was_named(case: Case) -> None:
    """A file or folder is its own root; a pattern's root is its folder."""
    named = [case.files, case.files / "*.pdf", case.files / "a.pdf"]

    assert roots_of(named) == (
        str(case.files),
        str(case.files),
        str(case.files / "a.pdf"),
    )


def test_verify_says_which_pages_failed_and_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal has the reasons; the next run parses only these pages."""
    case = Case(tmp_path)
    write_pdf(case.files / "a.pdf", page_text("valve"), page_text("pump"))
    parse = TextEngine.parse

    def failing(self: TextEngine, tasks: Any) -> Iterator[Any]:
        for outcome in parse(self, tasks):
            ref = outcome.ref
            failure = PageFailure.of(ref, "page_failed", "torn")
            yield outcome if ref.index == 0 else failure

    with case.store:
        with monkeypatch.context() as broken:
            broken.setattr(TextEngine, "parse", failing)
            case.run()
        (problem,) = verify_store(case.store, case.config).problems
        assert problem.kind == "unfinished"
        assert problem.detail.endswith("(page 2: page_failed: torn)")
        assert case.run().pages_parsed == 1
        assert verify_store(case.store, case.config).problems == ()


def test_a_file_name_that_is_not_utf_8_works(case: Case) -> None:
    """Older systems made such names; the file can be renamed and pruned like any other."""
    name = os.fsdecode(os.fsencode(case.files) + b"/caf\xe9.pdf")
    write_pdf(case.files / "a.pdf", page_text("valve")).rename(name)
    write_pdf(case.files / "b.pdf", page_text("pump"))
    case.run()
    again = case.run(prune=True)

    assert (again.unchanged, again.vanished) == (2, [])
    assert len({payload[Field.FILE_PATH] for payload in case.payloads().values()}) == 2

    Path(name).rename(case.files / "c.pdf")
    renamed = case.run()
    assert (renamed.renamed, renamed.pages_parsed) == (1, 0)

    (case.files / "c.pdf").rename(name)
    case.run()
    Path(name).unlink()
    gone = case.run(prune=True)
    assert (gone.vanished, gone.pruned) == ([Path(name).as_uri()], 1)


def test_a_renamed_file_with_a_page_that_fails_keeps_what_was_stored(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The former name is listed as gone until it is pruned or all pages are read."""
    file = write_pdf(case.files / "a.pdf", page_text("valve"), page_text("pump"))
    case.run()
    case.journal.unlink()  # so that the page must be parsed again
    case.run()
    file.rename(case.files / "b.pdf")
    read = TextEngine.parse

    def failing(self: TextEngine, tasks: Any) -> Iterator[Any]:
        for task in tasks:
            outcome = next(iter(read(self, [task])))
            failure = PageFailure.of(task.ref, "crashed", "")
            yield failure if task.ref.index else outcome

    with monkeypatch.context() as broken:
        broken.setattr(TextEngine, "parse", failing)
        partly = case.run(force=True)
    again = case.run()

    assert (partly.renamed, partly.vanished) == (0, [str(file)])
    assert (again.renamed, again.vanished) == (1, [])
    assert case.payloads() == as_if_new(case)


def test_a_copy_on_a_disk_that_is_not_mounted_stays(case: Case) -> None:
    """Whether its folder is missing or empty, it is neither renamed nor gone."""
    write_pdf(case.files / "a.pdf", page_text("valve"))
    disk = case.files / "usb"
    disk.mkdir()
    copy = disk / "b.pdf"
    copy.write_bytes((case.files / "a.pdf").read_bytes())
    roots = (str(case.files), str(disk))
    first = case.run(roots=roots)
    disk.rename(case.files.with_name("unplugged"))
    away = case.run(roots=(str(case.files / "a.pdf"), str(disk)), prune=True)
    disk.mkdir()
    empty = case.run(roots=roots, prune=True)

    assert first.documents == 2
    for report in (away, empty):
        assert (report.renamed, report.points_deleted, report.vanished) == (0, 0, [])


def test_gone_files_are_pruned_without_a_journal(case: Case) -> None:
    """The store says which documents it has."""
    for name in ("a", "b"):
        write_pdf(case.files / f"{name}.pdf", page_text(name))
    case.run()
    case.journal.unlink()
    (case.files / "b.pdf").unlink()
    report = case.run(prune=True)

    assert (report.vanished, report.pruned) == ([str(case.files / "b.pdf")], 1)
    assert case.payloads() == as_if_new(case)


@pytest.mark.parametrize("gone", ["renamed", "removed"])
def test_a_document_with_a_page_that_failed_can_be_renamed_or_removed(
    case: Case, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    """It is recorded, although it is not complete."""
    file = write_pdf(case.files / "a.pdf", page_text("valve"), page_text("pump"))
    write_pdf(case.files / "b.pdf", page_text("rotor"))
    read = TextEngine.parse

    def failing(self: TextEngine, tasks: Any) -> Iterator[Any]:
        for task in tasks:
            (outcome,) = read(self, [task])
            failure = PageFailure.of(task.ref, "crashed", "")
            yield failure if task.ref.index else outcome

    with monkeypatch.context() as broken:
        broken.setattr(TextEngine, "parse", failing)
        case.run()
    if gone == "renamed":
        file.rename(case.files / "c.pdf")
    else:
        file.unlink()
    report = case.run(prune=True)

    assert (report.renamed, report.pruned) == ((1, 0) if gone == "renamed" else (0, 1))
    assert case.payloads() == as_if_new(case)


def test_a_page_recorded_anew_by_other_options_replaces_the_old_one(tmp_path: Path) -> None:
    """The journal keeps no page that occurs in no document."""
    path = tmp_path / "a.db"
    with Journal(path) as journal:
        for key in ("a", "b", "b"):
            journal.add_page("document", "0" * 64, key, page_markdown(page(block("Text."))))
        assert [journal.page(key) is not None for key in "ab"] == [False, True]
        journal.forget(["document"])
        assert journal.page("b") is None


def test_a_document_without_text_is_parsed_once(case: Case) -> None:
    """It has no points; the journal says that it is complete."""
    write_pdf(case.files / "a.pdf", "")
    first = case.run()
    again = case.run()

    assert (first.documents, first.chunks) == (1, 0)
    assert (again.unchanged, again.pages_reused) == (1, 0)
    assert case.run(force=True).pages_parsed == 1


def test_a_document_is_deleted_by_its_path(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path may be relative. A name that several documents have is refused."""
    for folder in ("x", "y"):
        (case.files / folder).mkdir()
        write_pdf(case.files / folder / "a.pdf", page_text(folder))
    monkeypatch.chdir(case.files)
    case.run()
    case.store.close()
    with pytest.raises(ConfigError, match=r"2 documents are named a\.pdf: name one of .*x.a\.pdf"):
        delete_document("a.pdf", case.config)

    assert delete_document("x/a.pdf", case.config)[0] == 1
    assert delete_document("a.pdf", case.config)[0] == 1


def cut_off(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that ends after the first page of a document; nothing of it is stored."""
    read = TextEngine.parse

    def dying(self: TextEngine, tasks: Any) -> Iterator[Any]:
        outcomes = read(self, tasks)
        yield next(outcomes)
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(TextEngine, "parse", dying)
        with pytest.raises(KeyboardInterrupt):
            case.run()


@pytest.mark.parametrize("how", ["delete", "prune", "rename"])
def test_pages_of_a_document_cut_off_while_it_was_read_can_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """They used to stay in the journal for good, because their document was not recorded."""
    case = Case(tmp_path)
    with case.store:
        file = write_pdf(case.files / "a.pdf", page_text("valve"), page_text("pump"))
        (case.files / "not-read.txt").touch()
        cut_off(case, monkeypatch)
        assert rows(case.journal)["pages"] == 1
        if how == "prune":
            file.unlink()
            assert case.run(prune=True).failures == []
        if how == "rename":
            file.rename(case.files / "b.pdf")
            assert case.run().pages_reused == 1
    if how != "prune":
        name = "a.pdf" if how == "delete" else "b.pdf"
        delete_document(str(case.files / name), case.config)

    assert rows(case.journal) == {"documents": 0, "pages": 0, "places": 0}


def test_a_message_that_is_not_utf_8_can_be_recorded(tmp_path: Path) -> None:
    """It may quote a broken file. The journal used to be given up for the whole run."""
    with Journal(tmp_path / "a.db") as journal:
        journal.add_failure("document", "0" * 64, PageFailure("a", 0, "damaged", "no \udce9"))
        journal.add_page("document", "0" * 64, "key", page_markdown(page(block("Text."))))
        assert journal.page("key") is not None


def test_failed_pages_are_those_of_the_last_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of an earlier content used to be listed, too."""
    case = Case(tmp_path)
    file = write_pdf(case.files / "a.pdf", page_text("valve"), page_text("pump"))

    def failing(self: TextEngine, tasks: Any) -> Iterator[Any]:
        for task in tasks:
            why = f"torn in {task.ref.document.page_count}"
            yield PageFailure.of(task.ref, "page_failed", why)

    monkeypatch.setattr(TextEngine, "parse", failing)
    with case.store:
        case.run()
        write_pdf(file, page_text("rotor"))
        case.run()
    journal = open_journal(case.config)
    assert journal is not None
    with journal:
        (entry,) = journal.entries()
        assert journal.failures(entry.id) == [(0, "page_failed: torn in 1")]


def of_tenant(case: Case, name: str) -> Path:
    """Ingest the files for a tenant; return the path of that tenant's journal."""
    config = replace(case.config, tenant=name)
    journal = open_journal(config, create=True)
    assert journal is not None
    with open_store(config) as store, journal:
        ingest(case.files, store, journal)
    return next(one for one in case.journal.parent.glob("*.db") if one != case.journal)


def test_a_deletion_without_a_tenant_reaches_the_tenants_journal(tmp_path: Path) -> None:
    """The text of the pages used to stay in it."""
    case = Case(tmp_path)
    case.store.close()
    write_pdf(case.files / "a.pdf", page_text("valve"))
    journal = of_tenant(case, "me")
    assert rows(journal)["pages"] == 1

    assert delete_document("a.pdf", case.config)[0] == 1
    assert rows(journal) == {"documents": 0, "pages": 0, "places": 0}


def test_a_file_of_several_tenants_is_not_deleted_for_all(tmp_path: Path) -> None:
    """The message says how to choose one of them."""
    case = Case(tmp_path)
    case.store.close()
    write_pdf(case.files / "a.pdf", page_text("valve"))
    for name in ("me", "you"):
        of_tenant(case, name)

    with pytest.raises(ConfigError, match=r"a\.pdf \(--tenant me\)"):
        delete_document("a.pdf", case.config)


def test_pruning_without_a_tenant_leaves_tenants_alone(tmp_path: Path) -> None:
    """It used to delete their documents whose files are gone."""
    case = Case(tmp_path)
    write_pdf(case.files / "a.pdf", page_text("valve"))
    (case.files / "not-read.txt").touch()
    with case.store:
        case.run()
    of_tenant(case, "me")
    (case.files / "a.pdf").unlink()
    with open_store(case.config) as case.store:
        assert case.run(prune=True).pruned == 1
        assert [one.tenant for one in case.store.documents()] == ["me"]


def test_a_journal_that_two_runs_create_at_once_serves_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slower one used to find the tables there already, and did without a journal."""
    path = tmp_path / "a.db"
    version = sqlite._user_version

    def overtaken(db: sqlite3.Connection) -> int:
        found = version(db)
        monkeypatch.setattr(sqlite, "_user_version", version)
        Journal(path).close()
        return found

    monkeypatch.setattr(sqlite, "_user_version", overtaken)
    with Journal(path) as journal:
        journal.add_page("document", "0" * 64, "key", page_markdown(page(block("Text."))))
        assert journal.page("key") is not None


def test_deleted_pages_are_not_left_in_the_file(tmp_path: Path) -> None:
    """By default SQLite only marks their space as free."""
    path = tmp_path / "a.db"
    content = pack_page(page_markdown(page(block("Text of a page."))))
    with Journal(path) as journal:
        journal.add_page("document", "0" * 64, "key", page_markdown(page(block("Text of a page."))))
    assert content in path.read_bytes()
    with Journal(path) as journal:
        journal.forget(["document"])

    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert content not in path.read_bytes()


def test_a_journal_recovers_when_a_full_disk_has_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It used to be given up for the rest of the run. The warning is logged once."""
    made = page_markdown(page(block("Text.")))

    with Journal(tmp_path / "a.db") as journal:
        with full_disk(monkeypatch):
            for key in "ab":
                journal.add_page("document", "0" * 64, key, made)
        journal.add_page("document", "0" * 64, "c", made)
        assert [journal.page(key) is not None for key in "abc"] == [False, False, True]
    assert caplog.text.count("cannot be recorded") == 1


def test_reused_pages_survive_a_kill_before_the_document_is_recorded(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All points of an edited file are stored, but the journal was not told."""
    file = write_pdf(case.files / "a.pdf", *(page_text(f"valve{n}") for n in range(5)))
    case.run()
    edit(file, 1, "The rotor was replaced.")
    with monkeypatch.context() as killed:
        killed.setattr(Journal, "finish", lambda *_: None)
        assert case.run().pages_parsed == 1
    assert case.run().unchanged == 1
    edit(file, 2, "The stator was replaced.")
    report = case.run()

    assert (report.pages_parsed, report.pages_reused) == (1, 4)
    assert case.payloads() == as_if_new(case)


def test_a_document_that_cannot_be_pruned_is_a_failure_of_its_own(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are pruned, and the journal forgets only those."""
    files = [write_pdf(case.files / f"{name}.pdf", page_text(name)) for name in "abc"]
    case.run()
    for file in files[1:]:
        file.unlink()
    delete = QdrantStore.delete_documents

    def refusing(self: QdrantStore, documents: Any) -> int:
        if case.store.paths()[documents[0]].endswith("b.pdf"):
            raise StoreError("this may not be deleted")
        return delete(self, documents)

    with monkeypatch.context() as broken:
        broken.setattr(QdrantStore, "delete_documents", refusing)
        report = case.run(prune=True)

    assert [(one.file, one.code) for one in report.failures] == [(str(files[1]), "store")]
    assert (report.unchanged, report.pruned, rows(case.journal)["documents"]) == (1, 1, 2)
    assert case.run(prune=True).pruned == 1
    assert case.payloads() == as_if_new(case)
