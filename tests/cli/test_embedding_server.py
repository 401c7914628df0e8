"""Commands that embed on a server, a stand-in on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from opticalrag.ingest.cli.embedding_options import EmbeddingOptions
from opticalrag.ingest.core.servers import EmbeddingServerConfig

from ..processes import run_command as run
from ..unit.indexing.embedding_server import FakeServer, send, serving
from ..unit.pipeline.test_pipeline import page_text, write_pdf


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    with serving() as fake:
        yield fake


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, server: FakeServer) -> Path:
    """A folder with a document that was embedded on the server."""
    made = tmp_path_factory.mktemp("documents")
    write_pdf(made / "pump.pdf", "", page_text("pump"))
    named = ("--embed-url", server.url, "--embed-model", "words")
    assert run("ingest", ".", *named, cwd=made).returncode == 0
    return made


def test_documents_and_questions_are_embedded_on_the_server(
    folder: Path, server: FakeServer
) -> None:
    """``eval`` takes the same options as ``search``."""
    question = {"question": "the pump", "document": "pump.pdf", "pages": [2]}
    (folder / "set.json").write_text(json.dumps({"questions": [question]}), encoding="utf-8")
    named = ("--embed-url", server.url, "--embed-model", "words", "--json")
    found = json.loads(run("search", "the pump", *named, cwd=folder).stdout)
    value = json.loads(run("eval", "set.json", *named, cwd=folder).stdout)

    assert found["hits"][0]["page"] == 2
    assert value["figures"]["hit@1"] == 1.0
    assert server.asked[-1] == {
        "model": "words",
        "input": ["the pump"],
        "encoding_format": "float",
    }


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the longest text from ``--max-tokens``, if it is given."""
    monkeypatch.setenv("OPTICALRAG_EMBED_API_KEY", "secret\n")
    options = EmbeddingOptions(embed_url="http://a", embed_model="words")

    assert options.embedder() == EmbeddingServerConfig("http://a", "words", "secret")
    assert options.embedder(2000) == EmbeddingServerConfig("http://a", "words", "secret", 2000)
    assert EmbeddingOptions("x").embedder(2000) == "x"


@pytest.mark.parametrize(
    ("arguments", "code", "exit_code"),
    [
        ((), "schema_mismatch", 1),
        (("--embed-url", "URL", "--embed-model", "other"), "schema_mismatch", 1),
        (("--embed-url", "URL"), "config", 2),
        (("--embed-model", "words"), "config", 2),
        (("--embed-url", "URL", "--embed-model", "words", "--model", "x"), "config", 2),
        (("--embed-url", "nonsense", "--embed-model", "words"), "config", 2),
    ],
)
def test_another_embedder_is_refused(
    folder: Path, server: FakeServer, arguments: tuple[str, ...], code: str, exit_code: int
) -> None:
    """So are options that do not go together."""
    given = [server.url if one == "URL" else one for one in arguments]
    done = run("search", "the pump", *given, "--json", cwd=folder)

    assert done.returncode == exit_code
    assert json.loads(done.stdout)["error"]["code"] == code


def test_a_rejected_key_is_an_error(folder: Path, server: FakeServer) -> None:
    """With what the server says."""
    before = server.script
    server.will(send(b"wrong key", 401))
    try:
        done = run(
            "search", "x", "--embed-url", server.url, "--embed-model", "words", "--json", cwd=folder
        )
    finally:
        server.will(*before)

    assert done.returncode == 1
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "engine"
    assert "401 'wrong key'" in error["message"]
