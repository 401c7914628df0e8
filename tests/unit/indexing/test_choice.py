from __future__ import annotations

from collections.abc import Collection
from importlib import util
from pathlib import Path

import pytest

from opticalrag.ingest.core.errors import MissingExtra, ModelNotFound
from opticalrag.ingest.indexing import choice
from opticalrag.ingest.indexing.choice import make_embedder, runtime_of
from opticalrag.ingest.indexing.minilm import MiniLMEmbedder
from opticalrag.ingest.indexing.sentence_transformer import SentenceTransformerEmbedder

BGE = "BAAI/bge-small-en-v1.5"
needs_fastembed = pytest.mark.skipif(
    util.find_spec("fastembed") is None, reason="fastembed is not installed"
)


def install(patch: pytest.MonkeyPatch, modules: Collection[str]) -> None:
    """Let the choice see these optional packages only."""
    patch.setattr(choice, "_is_installed", lambda module: module in modules)


@pytest.mark.parametrize("model", [None, "all-MiniLM-L6-v2"])
def test_the_default_model_runs_on_onnx_runtime(model: str | None) -> None:
    """Also where torch is installed."""
    assert isinstance(make_embedder(model), MiniLMEmbedder)


@pytest.mark.parametrize(
    "installed", [["sentence_transformers"], ["sentence_transformers", "fastembed"]]
)
def test_a_name_means_sentence_transformers_where_it_is_installed(
    monkeypatch: pytest.MonkeyPatch, installed: list[str]
) -> None:
    """Installing fastembed too does not change what stored vectors are compared with."""
    install(monkeypatch, installed)

    assert isinstance(make_embedder(BGE), SentenceTransformerEmbedder)


@needs_fastembed
def test_without_torch_a_name_that_fastembed_knows_runs_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The recorded name differs, and means the same model wherever it is given."""
    install(monkeypatch, ["fastembed"])

    made = make_embedder(BGE, busy_cores=1)
    assert (made.name, made.dimension) == (f"fastembed/{BGE}", 384)
    assert runtime_of("no/such-model") == "sentence-transformers"
    install(monkeypatch, ["fastembed", "sentence_transformers"])
    assert make_embedder(made.name).name == made.name


def test_without_its_extra_a_model_is_refused_before_a_download(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The message names the extra."""
    install(monkeypatch, [])

    for model in (BGE, tmp_path):
        with pytest.raises(MissingExtra, match=r"opticalrag\[gpu\]"):
            make_embedder(model)


@needs_fastembed
def test_a_model_that_fastembed_does_not_have_is_refused() -> None:
    """The message says where its models are listed."""
    with pytest.raises(ModelNotFound, match="Supported_Models"):
        make_embedder("fastembed/no/such-model")
