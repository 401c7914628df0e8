"""Commands in their own process: stdout, stderr and exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pymupdf
import pytest

from opticalrag.ingest.core.identity import document_id
from opticalrag.ingest.pipeline.journal import Journal, JournalEntry
from opticalrag.retrievers.cli import _hit_to_text
from opticalrag.retrievers.query import Hit

from ..processes import run_command as run
from ..unit.pipeline.test_pipeline import page_text, write_pdf


def run_json(*arguments: str, cwd: Path, code: int = 0) -> dict[str, Any]:
    done = run(*arguments, "--json", cwd=cwd)
    assert done.returncode == code, done.stderr
    value = json.loads(done.stdout)
    assert isinstance(value, dict)
    return value


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two documents, ingested."""
    made = tmp_path_factory.mktemp("documents")
    write_pdf(made / "valve.pdf", page_text("valve"))
    write_pdf(made / "pump.pdf", "", page_text("pump"))
    report = run_json("ingest", ".", cwd=made)
    assert (report["documents"], report["pages"], report["failures"]) == (2, 3, [])
    return made


def test_ingest_again_writes_nothing(folder: Path) -> None:
    """A second run over the same folder embeds and writes nothing."""
    report = run_json("ingest", ".", cwd=folder)

    assert (report["unchanged"], report["embedded"], report["points_written"]) == (2, 0, 0)


def test_search_names_file_page_and_boxes(folder: Path) -> None:
    """The best hit is on the page with the answer and can be cited."""
    hits = run_json("search", "When was the pump inspected?", "--top-k", "2", cwd=folder)["hits"]

    assert Path(hits[0]["file"]).name == "pump.pdf"
    assert hits[0]["page"] == 2
    assert hits[0]["page_label"] == "2"
    assert all(0 <= v <= 1 for item in hits[0]["boxes"] for v in item["box"])
    assert hits[0].keys() >= {"heading_path", "kind", "score", "text"}


def test_search_draws_the_pages_of_its_hits(folder: Path, tmp_path: Path) -> None:
    """JSON lists one picture per page; a hit whose file is gone has an error instead."""
    asked = ("search", "When was the pump inspected?", "--top-k", "1")
    (hit,) = run_json(*asked, "--pictures", str(tmp_path), "--context", "page", cwd=folder)["hits"]
    drawn = [Path(name) for name in hit["pictures"]]

    assert [file.name for file in drawn] == ["01-pump-p2.png"]
    assert drawn[0].read_bytes().startswith(b"\x89PNG")
    assert hit["cited_pages"][0]["link"].endswith("pump.pdf#page=2")
    assert "pump" in hit["context"]["text"]
    (folder / "pump.pdf").rename(folder / "moved")
    try:
        (hit,) = run_json(*asked, "--pictures", str(tmp_path), cwd=folder, code=3)["hits"]
        assert "not on this disk" in hit["picture_error"]
    finally:
        (folder / "moved").rename(folder / "pump.pdf")


def test_a_missing_reranker_is_an_error(folder: Path) -> None:
    """With its error code, and exit code 1."""
    asked = ("search", "pump", "--reranker", str(folder / "none"), "--json")
    done = run(*asked, cwd=folder)

    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["code"] == "model_not_found"


def test_search_for_people_prints_citations(folder: Path) -> None:
    """Without --json a hit is a readable citation on stdout."""
    done = run("search", "Which valve?", cwd=folder)

    assert done.returncode == 0
    assert "valve.pdf" in done.stdout
    assert "page 1" in done.stdout


def test_status_lists_the_documents(folder: Path) -> None:
    """Status names every document with its points."""
    value = run_json("status", cwd=folder)

    assert {d["file_name"] for d in value["documents"]} == {"valve.pdf", "pump.pdf"}
    assert value["points"] == sum(d["points"] for d in value["documents"])


def test_parse_writes_markdown_to_stdout_and_nothing_else(folder: Path) -> None:
    """Stdout carries data only."""
    done = run("parse", "valve.pdf", cwd=folder)

    assert done.returncode == 0
    assert done.stdout.startswith("The valve was inspected")
    assert done.stderr == ""


def test_parse_json_has_blocks_with_boxes(folder: Path) -> None:
    """Each block has its kind and its box."""
    (page,) = run_json("parse", "pump.pdf", "--pages", "2", cwd=folder)["pages"]

    assert page["page"] == 2
    assert page["blocks"][0]["kind"] == "text"
    assert len(page["blocks"][0]["box"]) == 4


def test_a_file_that_fails_among_others_is_exit_three(tmp_path: Path) -> None:
    """Partial success has its own exit code; the failure has an error code."""
    write_pdf(tmp_path / "good.pdf", page_text("valve"))
    write_pdf(tmp_path / "locked.pdf", "x", password="secret")  # noqa: S106
    report = run_json("ingest", ".", cwd=tmp_path, code=3)

    assert [(Path(f["file"]).name, f["code"]) for f in report["failures"]] == [
        ("locked.pdf", "encrypted")
    ]


def test_a_damaged_file_that_is_read_is_named(tmp_path: Path) -> None:
    """On stderr and in JSON, because pages may be missing without a failure."""
    file = write_pdf(tmp_path / "cut.pdf", page_text("valve"))
    file.write_bytes(file.read_bytes()[:-200])

    assert run_json("ingest", "cut.pdf", "--dry-run", cwd=tmp_path)["mended"] == [str(file)]
    assert f"mended: {file}" in run("ingest", "cut.pdf", "--dry-run", cwd=tmp_path).stderr


def test_unreadable_entries_of_a_folder_are_failures(tmp_path: Path) -> None:
    """Folders too deep to list, dangling and circular links; the other files are stored."""
    write_pdf(tmp_path / "good.pdf", page_text("valve"))
    (tmp_path / "nowhere.pdf").symlink_to(tmp_path / "gone.pdf")
    (tmp_path / "circle.pdf").symlink_to(tmp_path / "circle.pdf")
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):  # a path may have 4,096 bytes
        os.mkdir("d" * 250, dir_fd=folder)
        inner = os.open("d" * 250, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)

    report = run_json("ingest", ".", "--qdrant", "store", cwd=tmp_path, code=3)
    codes = {Path(f["file"]).name[:9]: f["code"] for f in report["failures"]}
    assert codes.keys() == {"nowhere.p", "circle.pd", "d" * 9}
    assert codes["d" * 9] == "io"
    assert report["documents"] == 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["parse", "gone.pdf"], 1),
        (["parse", "a.pdf", "--pages", "9-"], 2),
        (["parse", "a.pdf", "--engine", "magic"], 2),
        (["ingest", "nothing-here-*.pdf"], 1),
        (["search", "  "], 2),
        (["ingest", "a.pdf", "--max-tokens", "9999"], 2),
        (["ingest"], 2),
        (["ingest", "a.pdf", "--journal", ""], 2),
        (["ingest", "a.pdf", "--page-timeout", "inf"], 2),
        (["ingest", "a.pdf", "--page-memory", "inf"], 2),
    ],
)
def test_failures_are_messages_on_stderr_and_exit_codes(
    tmp_path: Path, arguments: list[str], code: int
) -> None:
    """Users see no traceback; wrong usage has its own exit code."""
    pymupdf.open().new_page().parent.save(tmp_path / "a.pdf")
    done = run(*arguments, cwd=tmp_path)

    assert done.returncode == code
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_an_error_is_json_too(tmp_path: Path) -> None:
    """With --json even a failure is one object on stdout."""
    value = run_json("parse", "gone.pdf", cwd=tmp_path, code=1)

    assert value["error"].keys() == {"code", "message"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the device is Linux's")
def test_json_that_cannot_be_written_is_an_error_without_a_traceback(folder: Path) -> None:
    """For example on a full disk: stderr has the message."""
    main = "from opticalrag.retrievers.cli import main; main()"
    command = (sys.executable, "-c", main, "status", "--json")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, cwd=folder, stdout=full, stderr=subprocess.PIPE, text=True)

    assert done.returncode == 1
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_command_whose_stdout_is_closed_does_its_work(folder: Path) -> None:
    """Python then sets sys.stdout to None, which is not an internal error."""
    main = "import sys; sys.stdout = None; from opticalrag.retrievers.cli import main; main()"
    command = (sys.executable, "-c", main, "status", "--json")
    done = subprocess.run(command, cwd=folder, stderr=subprocess.PIPE, text=True)

    assert (done.returncode, "Traceback" in done.stderr) == (0, False)


def test_doctor_says_what_would_be_used(tmp_path: Path) -> None:
    """Doctor names the engine, the device and where the model comes from."""
    value = run_json("doctor", cwd=tmp_path)
    findings = {f["name"]: f for f in value["findings"]}

    assert value["ready"]
    assert "all-MiniLM-L6-v2" in findings["embedding model"]["detail"]
    assert "layout" in findings["engine"]["detail"]


@pytest.mark.parametrize(
    "arguments", [["status", "--bogus"], ["search"], ["parse", "a", "--workers", "0"]]
)
def test_wrong_usage_is_json_too(tmp_path: Path, arguments: list[str]) -> None:
    """Even if Typer finds the error before the command runs."""
    value = run_json(*arguments, cwd=tmp_path, code=2)

    assert value["error"]["code"] == "usage"


def test_json_is_valid_if_stdout_is_ascii(tmp_path: Path) -> None:
    """Other characters are JSON escapes."""
    file = write_pdf(tmp_path / "naïve 🐳.pdf", page_text("valve"))
    done = subprocess.run(
        [sys.executable, "-m", "opticalrag.retrievers", "parse", file.name, "--json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
        timeout=180,
    )

    assert json.loads(done.stdout)["pages"][0]["file"].endswith("naïve 🐳.pdf")


def test_names_with_brackets_are_listed_as_they_are(tmp_path: Path) -> None:
    """Brackets in file names are not markup."""
    write_pdf(tmp_path / "[b]old[x].pdf", page_text("valve"))
    run_json("ingest", ".", cwd=tmp_path)
    done = run("status", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "[b]old[x].pdf" in done.stdout


def test_names_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    """File names cannot move the cursor or forge lines; JSON has them unchanged."""
    evil = "\x1b[2J\nfailed: forged\u202e.pdf"
    write_pdf(tmp_path / f"good{evil}", page_text("valve"))
    (tmp_path / f"bad{evil}").write_bytes(b"%PDF-1.7")
    words = run("ingest", ".", cwd=tmp_path).stderr
    table = run("status", cwd=tmp_path)
    (tmp_path / f"good{evil}").unlink()
    wrong = run("verify", cwd=tmp_path).stdout
    value = run_json("status", cwd=tmp_path)
    hit = Hit("1", 0.5, f"text{evil}", f"good{evil}", pages=(1,))
    found = _hit_to_text(1, hit, {"1": [f"picture{evil}"]})

    shown = r"\x1b[2J\nfailed: forged\u202e.pdf"
    assert f"bad{shown}" in words
    assert all(f"good{shown}" in text for text in (table.stdout, wrong, found))
    for text in (words, table.stdout, table.stderr, wrong, found):
        assert "\x1b" not in text
        assert not any(line.startswith("failed: forged") for line in text.splitlines())
    assert value["documents"][0]["file_name"] == f"good{evil}"


def test_selecting_missing_pages_is_wrong_usage(tmp_path: Path) -> None:
    """As in parse."""
    write_pdf(tmp_path / "a.pdf", page_text("valve"))
    assert run("ingest", "a.pdf", "--pages", "7", cwd=tmp_path).returncode == 2


def test_a_pattern_without_a_match_does_not_stop_the_others(tmp_path: Path) -> None:
    """It counts as a failure, like a missing file."""
    write_pdf(tmp_path / "a.pdf", page_text("valve"))
    report = run_json("ingest", "no-*.pdf", "a.pdf", cwd=tmp_path, code=3)

    assert report["documents"] == 1
    assert len(report["failures"]) == 1


def test_a_tenant_lists_and_deletes_its_own(folder: Path) -> None:
    """Points of other tenants stay."""
    place = ["--qdrant", "shared"]
    made = run_json("ingest", "valve.pdf", *place, "--tenant", "a", cwd=folder)
    other = run_json("ingest", "valve.pdf", *place, "--tenant", "b", cwd=folder)

    assert made["points_written"] == other["points_written"] > 0
    run_json("delete", "valve.pdf", *place, "--tenant", "a", cwd=folder)
    assert run_json("status", *place, "--tenant", "a", cwd=folder)["points"] == 0
    assert run_json("status", *place, cwd=folder)["points"] == other["points_written"]


def test_verify_compares_the_store_with_the_files(tmp_path: Path) -> None:
    """Exit code 0 without problems; 3 if a file changed or is gone."""
    for name in ("a", "b", "c"):
        write_pdf(tmp_path / f"{name}.pdf", page_text(f"valve {name}"))
    run_json("ingest", ".", cwd=tmp_path)
    whole = run_json("verify", cwd=tmp_path)
    write_pdf(tmp_path / "a.pdf", page_text("pump"))
    (tmp_path / "b.pdf").unlink()
    found = run_json("verify", cwd=tmp_path, code=3)

    assert (whole["documents"], whole["problems"]) == (3, [])
    assert [(Path(p["file"]).name, p["kind"]) for p in found["problems"]] == [
        ("a.pdf", "changed"),
        ("b.pdf", "vanished"),
    ]


def test_verify_lists_and_cleans_begun_documents(tmp_path: Path) -> None:
    """A begun document is a problem until --clean removes it."""
    write_pdf(tmp_path / "a.pdf", page_text("valve"))
    run_json("ingest", ".", cwd=tmp_path)
    file, sha256 = str(tmp_path / "b.pdf"), "0" * 64
    with Journal(tmp_path / ".opticalrag" / "qdrant" / "journal" / "opticalrag.db") as journal:
        journal.begin(JournalEntry(document_id(file, sha256, None), file, sha256, "1" * 64, -1))
    found = run_json("verify", cwd=tmp_path, code=3)
    cleaned = run_json("verify", "--clean", cwd=tmp_path)

    assert [(p["file"], p["kind"]) for p in found["problems"]] == [(file, "begun")]
    assert (found["documents_forgotten"], cleaned["documents_forgotten"]) == (0, 1)
    assert (cleaned["documents"], cleaned["problems"]) == (1, [])


@pytest.mark.parametrize("name", ["none/all.md", "m" * 256])
def test_an_unwritable_output_is_refused_before_pages_are_read(tmp_path: Path, name: str) -> None:
    """Reading a document can take hours."""
    done = run("parse", "not-there.pdf", "-o", name, cwd=tmp_path)

    assert done.returncode in (1, 2)
    assert "not-there" not in done.stderr
    assert name[:9] in done.stderr
