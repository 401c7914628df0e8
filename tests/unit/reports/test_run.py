"""The HTML report of a run."""

from __future__ import annotations

import os
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from opticalrag.ingest.core.config import SourceConfig, WorkLimits
from opticalrag.ingest.core.errors import ConfigError
from opticalrag.ingest.core.records import PageFailure, ParsedPage
from opticalrag.ingest.documents.pages import open_document
from opticalrag.ingest.pipeline.pipeline import IngestReport
from opticalrag.ingest.reports.html import PagePicture, report_html
from opticalrag.ingest.reports.run import RunRecord

from ...builders import block

EVIL = "<script>alert('x')</script>\"&.pdf"
LIMITS = WorkLimits(60)


class Tags(HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.sources: list[str] = []
        self.policy = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        values = dict(attrs)
        self.sources += [str(values[key]) for key in ("src", "href") if key in values]
        if values.get("http-equiv") == "Content-Security-Policy":
            self.policy = str(values["content"])


def failed(code: str = "timeout", file: str = "/a.pdf") -> PageFailure:
    return PageFailure(file, 2, code, "page 3 took too long")


def doubtful(file: Path, index: int = 0) -> ParsedPage:
    with open_document(file) as source:
        ref = source.page_refs()[index]
    return ParsedPage(ref, 595, 842, (block("a"),), "test", ("loop",))


def test_names_and_messages_are_escaped() -> None:
    """A file name never becomes an element of the page."""
    failure = replace(failed(file=EVIL), message=EVIL)
    text = report_html({"pages": 1}, [failure], [PagePicture(EVIL, 1, (EVIL,), b"\xff\xd8")])
    tags = Tags(text)

    assert "script" not in tags.names
    assert text.count("&lt;script&gt;") >= 3
    assert tags.policy.startswith("default-src 'none'; img-src data:")
    assert [source[:5] for source in tags.sources] == ["data:"]


def test_a_failure_has_file_page_code_message_and_remedy() -> None:
    """The remedy names the option to use."""
    text = report_html({}, [failed()], [])

    for word in ("/a.pdf", "<td>3</td>", "timeout", "page 3 took too long", "--page-timeout"):
        assert word in text


def test_many_failures_are_counted_and_not_all_shown() -> None:
    """Thousands of failures still give a page that a browser opens."""
    text = report_html({}, [failed()] * 5000, [])

    assert "Failures: 5000" in text
    assert "4000 more" in text


def test_doubtful_pages_are_drawn_and_bounded(sample: Path, tmp_path: Path) -> None:
    """The file embeds at most 30 pictures, and only its owner can read it."""
    target = tmp_path / "report.html"
    record, page = RunRecord(target), doubtful(sample)
    for _ in range(2):
        record.observe(page)
    record.observe(replace(page, flags=()))
    record.observe(failed())
    record.write(IngestReport(pages=3), SourceConfig(), LIMITS)
    tags = Tags(target.read_text(encoding="utf-8"))

    assert record.doubtful == 2
    assert [source.startswith("data:image/jpeg;base64,") for source in tags.sources] == [True] * 2
    assert target.stat().st_mode & 0o777 == 0o600
    assert target.stat().st_size < 400_000

    for _ in range(100):
        record.observe(page)
    assert record.doubtful == 102
    assert len(record._doubtful.pages) == 30


def test_every_flag_of_a_run_is_shown(tmp_path: Path) -> None:
    """The report counts all flags, and tells which of them cast doubt on the text."""
    target = tmp_path / "report.html"
    report = IngestReport(flags={"ocr": 3, "loop": 1})
    RunRecord(target).write(report, SourceConfig(), LIMITS)
    text = target.read_text(encoding="utf-8")

    assert "<td>ocr</td><td>3</td><td>no</td>" in text
    assert "<td>loop</td><td>1</td><td>yes</td>" in text


def test_failed_pages_are_drawn(sample: Path, tmp_path: Path) -> None:
    """If the file is readable; a document that failed as a whole has no page to draw."""
    target = tmp_path / "report.html"
    failures = [
        PageFailure(str(sample), 1, "timeout", "page 2 took too long"),
        PageFailure(str(tmp_path / "gone.pdf"), 0, "damaged", "page 1 is gone"),
        PageFailure(str(sample), None, "encrypted", "no password"),
    ]
    RunRecord(target).write(IngestReport(failures=failures), SourceConfig(), LIMITS)
    text = target.read_text(encoding="utf-8")

    assert len(Tags(text).sources) == 1
    assert "page 2: timeout" in text
    assert text.count("cannot be drawn") == 1


def test_a_page_of_a_changed_file_is_not_drawn(sample: Path, tmp_path: Path) -> None:
    """The picture would not match the text beside it."""
    file = tmp_path / "a.pdf"
    file.write_bytes(sample.read_bytes())
    record = RunRecord(tmp_path / "r.html")
    record.observe(doubtful(file))
    file.write_bytes(sample.read_bytes() + b"\n")
    record.write(IngestReport(), SourceConfig(), LIMITS)

    assert "cannot be drawn" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_a_doubtful_page_whose_file_is_gone_is_named(sample: Path, tmp_path: Path) -> None:
    """The report is written without the picture."""
    file = tmp_path / "a.pdf"
    file.write_bytes(sample.read_bytes())
    record = RunRecord(tmp_path / "r.html")
    record.observe(doubtful(file))
    file.unlink()
    record.write(IngestReport(), SourceConfig(), LIMITS)

    assert "cannot be drawn" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_a_report_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The previous file stays."""
    target = tmp_path / "run.html"
    target.write_text("old", encoding="utf-8")

    def refuse(*_: object) -> None:
        raise OSError("no")

    monkeypatch.setattr(Path, "replace", refuse)
    report = IngestReport()
    RunRecord(target).write(report, SourceConfig(), LIMITS)
    assert [(failure.file, failure.code) for failure in report.failures] == [(str(target), "io")]
    assert [file.name for file in tmp_path.iterdir()] == ["run.html"]


def test_an_unwritable_target_is_refused_before_the_run(tmp_path: Path) -> None:
    """A run can take hours. A pipe or device would be replaced by the file."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    names = ("none/r.html", "", "pipe", "loop", "r" * 256, "\0")
    for file in (tmp_path / name for name in names):
        with pytest.raises(ConfigError, match="cannot write"):
            RunRecord(file)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["loop", "pipe"]


def test_a_name_may_have_the_maximum_length(tmp_path: Path) -> None:
    """The temporary file has a short name of its own."""
    target = tmp_path / ("r" * 255)
    RunRecord(target).write(IngestReport(), SourceConfig(), LIMITS)
    assert [file.name for file in tmp_path.iterdir()] == [target.name]


def test_a_link_stays_and_its_target_is_written(tmp_path: Path) -> None:
    link, target = tmp_path / "link.html", tmp_path / "target.html"
    link.symlink_to(target)
    RunRecord(link).write(IngestReport(), SourceConfig(), LIMITS)
    assert link.is_symlink()
    assert "<html" in target.read_text()
