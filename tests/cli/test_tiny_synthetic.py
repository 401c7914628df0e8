"""The whole optical path with real text, from the command line: ingest, search, redecode."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ..conftest import CARDS, TINY_SYNTHETIC
from . import test_cli

MODEL = ["--ocr-model", str(TINY_SYNTHETIC), "--device", "cpu"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sample cards, ingested by the small model; the file is gone."""
    folder = tmp_path_factory.mktemp("cards")
    shutil.copyfile(CARDS, folder / "cards.pdf")
    ingest = ["ingest", "cards.pdf", "--engine", "deepseek-ocr", "--mode", "large"]
    report = test_cli.run_json(*ingest, *MODEL, cwd=folder)
    assert (report["pages"], report["failures"]) == (3, [])
    (folder / "cards.pdf").unlink()
    return folder


@pytest.mark.parametrize(
    ("question", "page", "word"),
    [
        ("copper and coal on ships", 1, "coal"),
        ("goats and one horse", 2, "horse"),
        ("books in the library", 3, "books"),
    ],
)
def test_a_question_finds_the_page_that_the_model_has_read(
    place: Path, question: str, page: int, word: str
) -> None:
    answer = test_cli.run_json("search", question, "--top-k", "1", cwd=place)
    (hit,) = answer["hits"]
    assert hit["pages"] == [page]
    assert word in hit["text"]


def test_a_stored_page_is_read_again_with_another_question(place: Path) -> None:
    """As plain text; the file is gone."""
    asked = ["redecode", "cards.pdf", "--page", "1", "--prompt", "free_ocr"]
    text = test_cli.run_json(*asked, *MODEL, cwd=place)
    assert "from Oslo with copper and coal. One" in " ".join(text["text"].split())
