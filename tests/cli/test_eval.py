"""The ``eval`` command in its own process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ..processes import run_command as run
from ..unit.pipeline.test_pipeline import page_text, write_pdf

RIGHT = {"question": "When was the pump inspected?", "document": "pump.pdf", "pages": [2]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two documents, ingested."""
    made = tmp_path_factory.mktemp("documents")
    write_pdf(made / "valve.pdf", page_text("valve"))
    write_pdf(made / "pump.pdf", "", page_text("pump"))
    assert run("ingest", ".", cwd=made).returncode == 0
    return made


def write(folder: Path, *questions: dict[str, Any]) -> None:
    (folder / "set.json").write_text(json.dumps({"questions": questions}), encoding="utf-8")


def test_figures_as_table_json_and_page(folder: Path) -> None:
    """The table has the figures, JSON each question; only the owner can read the page."""
    write(folder, RIGHT, {**RIGHT, "pages": [1], "kind": "table"})
    shown = run("eval", "set.json", "--html", "eval.html", cwd=folder)
    done = run("eval", "set.json", "--json", cwd=folder)

    assert (shown.returncode, done.returncode) == (0, 0)
    assert [line.split()[0] for line in shown.stdout.splitlines()[1:4]] == [
        "(none)",
        "table",
        "all",
    ]
    assert ">10   pump.pdf, page 1  pump.pdf, page 2" in shown.stdout
    value = json.loads(done.stdout)
    assert [one["rank"] for one in value["questions"]] == [None, 1]
    assert value["figures"]["hit@1"] == 0.5
    assert (folder / "eval.html").stat().st_mode & 0o777 == 0o600


def test_wrong_questions_are_named_and_the_others_scored(folder: Path) -> None:
    """Exit code 3; if no question is left, 1."""
    write(folder, {**RIGHT, "page": 2}, RIGHT, {**RIGHT, "document": "none.pdf"})
    done = run("eval", "set.json", "--json", cwd=folder)

    assert done.returncode == 3
    value = json.loads(done.stdout)
    assert [one["position"] for one in value["failures"]] == [1, 3]
    assert value["figures"]["questions"] == 1
    assert "left out: question 3: the document 'none.pdf' is not stored" in done.stderr
    write(folder, {})
    assert run("eval", "set.json", cwd=folder).returncode == 1


@pytest.mark.parametrize(
    ("arguments", "code", "exit_code"),
    [
        (("none.json",), "io", 1),
        (("pump.pdf",), "config", 2),
        (("set.json", "--html", "none/eval.html"), "config", 2),
        (("set.json", "--collection", "none"), "store", 1),
        (("set.json", "--qdrant", ":memory:"), "store", 1),
    ],
)
def test_what_cannot_be_evaluated_is_an_error(
    folder: Path, arguments: tuple[str, ...], code: str, exit_code: int
) -> None:
    """Before any question is asked."""
    write(folder, RIGHT)
    done = run("eval", *arguments, "--json", cwd=folder)

    assert done.returncode == exit_code
    assert json.loads(done.stdout)["error"]["code"] == code
