"""The core needs no model library, and neither do the tests of the packages below the engines."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ..conftest import REPOSITORY
from ..unit.pipeline.test_pipeline import page_text, write_pdf

_WITHOUT_TORCH = """
import sys
for name in ("torch", "transformers", "sentence_transformers"):
    sys.modules[name] = None  # importing it raises ModuleNotFoundError
"""
_PYTEST = """
import pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""
_COMMAND = "from opticalrag.retrievers.cli import main; main()"


def run_without_torch(
    *arguments: str, code: str = _PYTEST, folder: Path = REPOSITORY
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _WITHOUT_TORCH + code, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one document, ingested without torch."""
    made = tmp_path_factory.mktemp("documents")
    write_pdf(made / "pump.pdf", page_text("pump"))
    done = run_without_torch("ingest", "pump.pdf", code=_COMMAND, folder=made)
    assert done.returncode == 0, done.stderr
    return made


def test_documents_are_ingested_and_found_without_torch(folder: Path) -> None:
    """``pip install opticalrag[ocr]`` is enough to read, to index and to search."""
    done = run_without_torch("search", "pump", "--json", code=_COMMAND, folder=folder)

    assert done.returncode == 0, done.stderr
    assert Path(json.loads(done.stdout)["hits"][0]["file"]).name == "pump.pdf"


@pytest.mark.parametrize("option", ["--model", "--reranker"])
def test_a_model_that_needs_torch_names_its_extra(folder: Path, option: str) -> None:
    """The message can be pasted into a shell."""
    done = run_without_torch("search", "pump", option, ".", code=_COMMAND, folder=folder)

    assert done.returncode == 1
    assert "pip install 'opticalrag[gpu]'" in done.stderr


def test_text_is_tested_without_torch() -> None:
    """Tests of core, markdown and chunking run where torch cannot be imported."""
    files = ("core/test_identity.py", "markdown/test_joining.py", "chunking/test_text_cutting.py")
    done = run_without_torch(*(f"tests/unit/{file}" for file in files))

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_packages_below_the_engines_are_collected_without_torch() -> None:
    """No test module, fixture or helper of these packages imports torch when it is loaded."""
    packages = ("core", "markdown", "chunking", "documents", "system", "store", "pipeline")
    done = run_without_torch("--collect-only", *(f"tests/unit/{package}" for package in packages))

    assert done.returncode == 0, done.stdout + done.stderr
