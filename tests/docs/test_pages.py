"""README, ARCHITECTURE and docs are true: code runs as printed, links and paths lead somewhere."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ..conftest import REPOSITORY, TINY_SYNTHETIC
from ..processes import run_command

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
ALL_PAGES = [*PAGES, REPOSITORY / "ARCHITECTURE.md"]
# Only code in a language that a reader would run; diagrams have none.
BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^\n]+) -->\n)?^```(?P<language>\w+)\n(?P<code>.*?)^```",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Block:
    language: str
    code: str
    reason: str | None


def blocks(page: Path) -> Iterator[Block]:
    for found in BLOCK.finditer(page.read_text(encoding="utf-8")):
        yield Block(found["language"], found["code"], found["reason"])


def name(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


RUNNABLE = [page for page in PAGES if any(not block.reason for block in blocks(page))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files that commands in the pages name."""
    sample = tmp_path / "notebooks" / "sample"
    sample.mkdir(parents=True)
    for pattern in ("*.pdf", "*.json"):
        for file in (REPOSITORY / "notebooks" / "sample").glob(pattern):
            shutil.copy(file, sample)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / TINY_SYNTHETIC.name).symlink_to(TINY_SYNTHETIC)
    return tmp_path


def run_line(line: str, folder: Path) -> str:
    """Run a line of a shell block; ``make`` targets only have to exist, because CI runs them."""
    words = shlex.split(line, comments=True)
    if words[:1] == ["make"]:
        makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
        assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE)
        return ""
    assert words[:1] == ["opticalrag"], f"mark the block as not run, or test this: {line}"
    done = run_command(*words[1:], cwd=folder)
    assert done.returncode == 0, f"{line}\n{done.stderr}"
    return done.stdout


def run_block(block: Block, folder: Path) -> str:
    if block.language == "sh":
        lines = [line for line in block.code.splitlines() if line.strip()]
        return "".join(run_line(line, folder) for line in lines)
    assert block.language == "python", f"nothing runs {block.language}"
    done = subprocess.run(
        [sys.executable, "-c", block.code],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("page", RUNNABLE, ids=name)
def test_code_runs_as_printed(page: Path, folder: Path) -> None:
    """Blocks run in order in one folder, unless a comment says why one cannot run here."""
    shown = "".join(run_block(block, folder) for block in blocks(page) if not block.reason)

    if page.name == "README.md":
        assert "3. Fire pump: pressure 8.4 bar" in shown
        assert list((folder / "found").glob("*.png"))
        assert "report.pdf 1 ['1 The year in brief'" in shown


def test_ci_runs_the_commands_at_the_top() -> None:
    """Set-up takes two commands, and CI runs them."""
    ci = (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8")
    top = next(blocks(REPOSITORY / "README.md"))

    assert re.findall(r"^make \w+", top.code, re.MULTILINE) == ["make demo", "make test"]
    assert {"make demo", "make test"} <= set(ci.splitlines())


def test_the_readme_is_short() -> None:
    """A newcomer reads it in five minutes; the rest is in docs."""
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")

    assert len(text.splitlines()) <= 150
    assert len(text.split()) <= 1000
    assert len((REPOSITORY / "ARCHITECTURE.md").read_text("utf-8").splitlines()) <= 120


@pytest.mark.parametrize("page", ALL_PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file, and every anchor a heading of it."""
    for target in re.findall(r"\]\((?!\w+:)([^)]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        assert not anchor or anchor in headings(linked), target


def headings(page: Path) -> set[str]:
    """Anchors as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", ALL_PAGES, ids=name)
def test_paths_exist(page: Path) -> None:
    """A module, folder or file that a page names in backticks is there."""
    roots = [REPOSITORY, REPOSITORY / "ingest", page.parent]
    engines = REPOSITORY / "ingest" / "engines"
    roots += [engines, engines / "deepseek_ocr", REPOSITORY / "retrievers"]
    if page.parent.name == "design":
        roots += [folder for folder in (REPOSITORY / "ingest").rglob("*") if folder.is_dir()]
    for path in re.findall(r"`([\w./]+(?:\.py|/))`", page.read_text(encoding="utf-8")):
        if not path.startswith((".", "papers/")):
            assert any((root / path).exists() for root in roots), path


def test_the_page_of_commands_is_current() -> None:
    """docs/command-line.md is what the commands say; ``make docs`` writes it."""
    script = REPOSITORY / "docs" / "command_line.py"
    page = subprocess.run(
        [sys.executable, str(script), "--print"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )

    assert (REPOSITORY / "docs" / "command-line.md").read_text(encoding="utf-8") == page.stdout
