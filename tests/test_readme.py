"""Every command and script in README runs as printed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import REPOSITORY

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def code(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """An empty folder with the sample where README expects it."""
    target = tmp_path / "notebooks" / "sample"
    target.mkdir(parents=True)
    shutil.copy(REPOSITORY / "notebooks" / "sample" / "report.pdf", target)
    return tmp_path


def run(arguments: list[str], folder: Path) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        arguments,
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_commands_run(workplace: Path) -> None:
    """The block of commands does what the text around it says."""
    commands = next(block for block in code("sh") if "opticalrag ingest" in block)
    searching = next(block for block in code("sh") if "--pictures" in block)
    again = commands.splitlines()[0]  # the last but one deletes it
    shown = run(["bash", "-euc", f"{commands}{again}\n{searching}"], workplace)

    assert "coolant pump" in shown
    assert "report.pdf · page 2 (1)" in shown
    assert list((workplace / ".opticalrag" / "found").glob("*.png"))
    assert (workplace / ".opticalrag" / "all.html").is_file()
    # What git ignores in a checkout, and the sample.
    assert {file.name for file in workplace.iterdir()} == {".opticalrag", "notebooks"}


def test_the_two_set_up_commands_are_targets() -> None:
    """What stands at the top exists; CI runs both."""
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    ci = (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", code("sh")[0], re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
        assert f"make {target}" in ci


def test_the_script_runs_and_cites(workplace: Path) -> None:
    """The LlamaIndex example is at most 15 lines, runs offline and prints citations."""
    (script,) = code("python")
    lines = [line for line in script.splitlines() if line.strip()]
    shown = run([sys.executable, "-c", script], workplace)

    assert len(lines) <= 15
    assert shown.startswith("report.pdf 1 ['1 The year in brief'")
