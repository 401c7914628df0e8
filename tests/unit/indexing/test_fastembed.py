"""The adapter of fastembed, on a model of two weights that fastembed itself runs."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from opticalrag.ingest.core.errors import ModelNotFound
from opticalrag.ingest.indexing import fastembed as adapter
from opticalrag.ingest.indexing.fastembed import FastEmbedEmbedder, knows_model

library = pytest.importorskip("fastembed", reason="fastembed is not installed")

NAME = "tests/two-weights"
WORDS = {"[PAD]": 0, "[UNK]": 1, "pump": 2, "valve": 3}
TABLE = np.array([[0, 0], [1, 1], [3, 0], [0, 5]], np.float32)  # a vector per word


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that looks up its words; fastembed takes their mean."""
    made = tmp_path_factory.mktemp("model")
    tokenizer = Tokenizer(WordLevel(WORDS, unk_token="[UNK]"))  # noqa: S106
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(made / "tokenizer.json"))
    config = {"model_max_length": 8, "pad_token": "[PAD]", "pad_token_id": 0}
    for name in ("config", "tokenizer_config", "special_tokens_map"):
        (made / f"{name}.json").write_text(json.dumps(config if "map" not in name else {}))
    size, number = ["rows", "tokens"], TensorProto.INT64
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])],
        "two weights",
        [helper.make_tensor_value_info(n, number, size) for n in ("input_ids", "attention_mask")],
        [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, [*size, 2])],
        [numpy_helper.from_array(TABLE, "table")],
    )
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    (made / "model.onnx").write_bytes(model.SerializeToString())
    library.TextEmbedding.add_custom_model(
        NAME,
        pooling=library.common.model_description.PoolingType.MEAN,
        normalization=False,
        sources=library.common.model_description.ModelSource(hf="tests/two-weights"),
        dim=2,
        model_file="model.onnx",
    )
    return made


@pytest.fixture
def embedder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> FastEmbedEmbedder:
    """The adapter; fastembed takes the model from its folder instead of the network."""
    local = partial(library.TextEmbedding, specific_model_path=str(folder))
    local.get_embedding_size = library.TextEmbedding.get_embedding_size  # type: ignore[attr-defined]
    local.list_supported_models = library.TextEmbedding.list_supported_models  # type: ignore[attr-defined]
    monkeypatch.setattr(adapter, "_library", lambda: type("Library", (), {"TextEmbedding": local}))
    return FastEmbedEmbedder(NAME)


def test_vectors_keep_the_order_of_the_texts_and_have_unit_length(
    embedder: FastEmbedEmbedder,
) -> None:
    """Texts run sorted by length, which must not be seen."""
    found = embedder.embed_documents(["pump pump pump", "valve", "pump valve", "valve valve"])

    mean = np.array([3, 5]) / np.hypot(3, 5)
    assert found.dtype == np.float32
    assert found == pytest.approx(np.array([[1, 0], [0, 1], mean, [0, 1]]), abs=1e-6)
    assert embedder.embed_query("pump valve") == pytest.approx(mean, abs=1e-6)
    assert embedder.embed_documents([]).shape == (0, 2)


def test_texts_are_counted_whole_and_read_up_to_the_limit(embedder: FastEmbedEmbedder) -> None:
    """The chunker needs to know how much too long a text is."""
    assert (embedder.max_tokens, embedder.dimension) == (8, 2)
    assert embedder.count_tokens("pump " * 20) == 20
    assert embedder.embed_query("pump " * 8 + "valve") == pytest.approx([1, 0], abs=1e-6)


def test_broken_unicode_is_embedded(embedder: FastEmbedEmbedder) -> None:
    """Lone surrogates from broken PDFs do not raise."""
    assert embedder.embed_documents(["\ud800 pump"]).shape == (1, 2)


def test_a_model_that_cannot_be_downloaded_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The message names the folder that was looked at."""
    monkeypatch.setenv("FASTEMBED_CACHE_PATH", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    made = FastEmbedEmbedder("BAAI/bge-small-en-v1.5")

    with pytest.raises(ModelNotFound, match="FASTEMBED_CACHE_PATH"):
        made.count_tokens("pump")


def test_known_names_ignore_case() -> None:
    """As fastembed does."""
    assert knows_model("baai/BGE-small-en-v1.5")
    assert not knows_model("no/such-model")
