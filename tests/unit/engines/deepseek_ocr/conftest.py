"""A small random model for decoding tests, and the answers it must give."""

from __future__ import annotations

import os

import pytest
import torch

from benchmarks.decoding.exactness import RULE, Case, chance_loop, make_cases, write_talker
from opticalrag.ingest.engines.deepseek_ocr.decoder.decoder import Decoder
from opticalrag.ingest.engines.deepseek_ocr.model import DeepSeekOcr

from .helpers_decoding import PAGES, one_thread

# Triton reads this when it is first imported. Without a GPU, kernels run in its interpreter.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")


@pytest.fixture(scope="session")
def talker(tmp_path_factory: pytest.TempPathFactory) -> DeepSeekOcr:
    """A random model whose answers end after one to hundreds of ids."""
    folder = write_talker(tmp_path_factory.mktemp("checkpoint") / "talker")
    return DeepSeekOcr(folder, device="cpu", precision="float32")


@pytest.fixture(scope="session")
def cases(talker: DeepSeekOcr) -> list[Case]:
    """Pages, and the answer of transformers' ``generate`` to each alone."""
    with one_thread():
        return make_cases(talker, PAGES)


@pytest.fixture(scope="session")
def decoder(talker: DeepSeekOcr) -> Decoder:
    """Our decoder with the same rules."""
    return Decoder(talker.network, talker.tokenizer, talker.weights, RULE, chance_loop)
