"""The ``redecode`` and ``cache`` commands."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from ..processes import run_command
from ..unit.pipeline.test_pipeline import page_text, write_pdf
from . import test_cli


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    """A folder with a document of two pages, ingested with DeepSeek-OCR; the file is gone."""
    folder = tmp_path_factory.mktemp("tokens")
    file = write_pdf(folder / "a.pdf", page_text("valve"), page_text("pump"))
    ingest = ["ingest", "a.pdf", "--engine", "deepseek-ocr", "--mode", "tiny"]
    report = test_cli.run_json(*ingest, *model(tiny_checkpoint), cwd=folder)
    assert (report["pages"], report["failures"]) == (2, [])
    file.unlink()
    return folder


def model(checkpoint: Path) -> list[str]:
    """Options that name the model."""
    return ["--ocr-model", str(checkpoint), "--device", "cpu", "--max-output-tokens", "8"]


def cache(place: Path, *arguments: str, code: int = 0) -> dict[str, Any]:
    """What a cache command says."""
    return test_cli.run_json("cache", *arguments, cwd=place, code=code)


def copy_tokens(place: Path, folder: str) -> None:
    """Copy the cache, so that a test can empty it."""
    shutil.copytree(place / ".opticalrag" / "tokens", place / folder)


def test_a_page_is_read_again_without_its_file(place: Path, tiny_checkpoint: Path) -> None:
    """With another prompt, from the largest cached mode."""
    asked = ["redecode", "a.pdf", "--page", "2", "--prompt", "locate:pump"]
    answer = test_cli.run_json(*asked, *model(tiny_checkpoint), cwd=place)

    assert (answer["page"], answer["prompt"], answer["mode"]) == (2, "locate", "gundam-6")
    assert answer["output_tokens"] <= 8
    assert "not_located" in answer["flags"]


def test_doubts_are_printed_to_stderr(place: Path, tiny_checkpoint: Path) -> None:
    """Random weights locate nothing; stdout has only the answer."""
    asked = ["redecode", "a.pdf", "--page", "2", "--prompt", "locate:pump"]
    done = run_command(*asked, *model(tiny_checkpoint), cwd=place)
    assert done.returncode == 0
    assert "nothing was located: the answer has no box on the page" in done.stderr
    assert "doubtful: " in done.stderr
    assert "doubtful" not in done.stdout


def test_another_file_of_the_same_name_is_not_encoded(place: Path, tiny_checkpoint: Path) -> None:
    """The current folder has a different document with the name of the missing one."""
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    write_pdf(elsewhere / "a.pdf", page_text("rotor"), page_text("stator"))
    asked = ["redecode", "a.pdf", "--page", "1", "--mode", "large", "--encode"]
    stored = ["--tokens", str(place / ".opticalrag" / "tokens")]
    said = test_cli.run_json(*asked, *stored, *model(tiny_checkpoint), cwd=elsewhere, code=1)
    assert said["error"]["code"] == "cache_miss"
    assert f"its file {place / 'a.pdf'} no longer exists" in said["error"]["message"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--page", "7"], 1),
        (["--page", "1", "--mode", "large"], 1),
        (["--page", "1", "--prompt", "poem"], 2),
        (["--page", "1", "--prompt", "locate:\udcff"], 2),
        (["--page", "0"], 2),
    ],
)
def test_pages_that_cannot_be_decoded_are_errors(
    place: Path, tiny_checkpoint: Path, arguments: list[str], code: int
) -> None:
    """A cache miss is a failure; a wrong prompt or page number is wrong usage."""
    done = run_command("redecode", "a.pdf", *arguments, *model(tiny_checkpoint), cwd=place)
    assert done.returncode == code
    assert "Traceback" not in done.stderr


def test_stored_pages_are_counted_listed_and_checked(place: Path) -> None:
    """All as JSON."""
    assert cache(place, "stats")["documents"] == 1
    pages = cache(place, "ls", "a.pdf")["pages"]
    assert {page["page"] for page in pages} == {1, 2}
    assert {page["mode"] for page in pages} == {"tiny", "gundam-6"}
    assert cache(place, "verify")["damaged"] == []
    assert cache(place, "gc")["removed"] == 0


def test_a_quota_empties_a_cache(place: Path) -> None:
    """The command says what was removed and what is left."""
    copy_tokens(place, "second")
    entries = cache(place, "stats", "--tokens", "second")["entries"]
    emptied = cache(place, "gc", "--quota", "0", "--tokens", "second")
    assert (emptied["removed"], emptied["entries"], emptied["bytes"]) == (entries, 0, 0)


def test_a_document_is_deleted_by_the_path_one_types(place: Path) -> None:
    """Relative or not; what is not there is a failure."""
    copy_tokens(place, "third")
    entries = cache(place, "stats", "--tokens", "third")["entries"]
    gone = cache(place, "rm", "./a.pdf", "--tokens", "third")
    assert (gone["removed"], gone["entries"], gone["bytes"]) == (entries, 0, 0)
    failed = cache(place, "rm", "./a.pdf", "--tokens", "third", code=1)
    assert failed["error"]["code"] == "cache_miss"


def test_reading_creates_no_cache(tmp_path: Path) -> None:
    """A missing folder is an error."""
    assert cache(tmp_path, "stats", code=1)["error"]["code"] == "cache_miss"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kept", ["off", "s3-is-a-file"])
def test_an_ingest_goes_on_without_a_cache(
    tmp_path: Path, tiny_checkpoint: Path, kept: str
) -> None:
    """Switched off, or impossible, which is logged."""
    write_pdf(tmp_path / "a.pdf", page_text("valve"))
    (tmp_path / "s3-is-a-file").write_text("in the way")
    ingest = ["ingest", "a.pdf", "--engine", "deepseek-ocr", "--mode", "tiny", "--tokens", kept]
    done = run_command(*ingest, *model(tiny_checkpoint), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert ("vision tokens are not cached" in " ".join(done.stderr.split())) == (kept != "off")
