"""A command imports what it uses: nobody waits for libraries that their command does not need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ..processes import run_command
from ..unit.pipeline.test_pipeline import page_text, write_pdf

_MAIN = "from opticalrag.retrievers.cli import main; main()"
_LISTED = """
import sys
try:
    {}
finally:
    print(*sys.modules, file=sys.stderr)
"""
HEAVY = {"torch", "transformers", "sentence_transformers", "llama_index", "pymupdf", "fastembed"}
MODEL = {"onnxruntime", "onnx", "tokenizers", "safetensors"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one document, ingested."""
    made = tmp_path_factory.mktemp("documents")
    write_pdf(made / "pump.pdf", page_text("pump"))
    assert run_command("ingest", ".", cwd=made).returncode == 0
    return made


@pytest.fixture(scope="module")
def clients(folder: Path) -> set[str]:
    """What Qdrant's client imports: fastembed and its libraries too, where it is installed."""
    return imported(folder, code="import qdrant_client")


def imported(folder: Path, *arguments: str, code: str = _MAIN) -> set[str]:
    """The top packages that a process has imported when it ends."""
    command = (sys.executable, "-c", _LISTED.format(code), *arguments)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in done.stderr.splitlines()[-1].split()}


@pytest.mark.parametrize("command", ["status", "verify", "doctor"])
def test_commands_without_a_question_load_no_model_and_no_llama_index(
    folder: Path, clients: set[str], command: str
) -> None:
    """They answer within a second."""
    assert (imported(folder, command) - clients) & (HEAVY | MODEL) == set()


def test_help_loads_no_client_of_the_store_either(folder: Path) -> None:
    """Help reads no data."""
    stores = {"qdrant_client", "qdrant_edge", "httpx"}

    assert imported(folder, "--help") & (HEAVY | MODEL | stores) == set()


def test_a_search_loads_the_embedding_model_and_nothing_else(
    folder: Path, clients: set[str]
) -> None:
    """The tokenizer and the encoder of the default model need no torch."""
    loaded = imported(folder, "search", "When was the pump inspected?")

    assert MODEL - loaded == set()
    assert (loaded - clients) & (HEAVY | {"huggingface_hub"}) == set()
