"""A small network that decodes, and what it must answer."""

from __future__ import annotations

import os

import pytest
import torch

from benchmarks.decoding.exactness import RULE, Case, chance_loop, make_cases, write_talker
from opticalrag.ingest.engines.deepseek_ocr.decoder.decoder import Decoder
from opticalrag.ingest.engines.deepseek_ocr.model import DeepSeekOcr

from .helpers_decoding import PAGES, one_thread

# Read when triton is first imported: without a GPU its kernels run in its interpreter.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")


@pytest.fixture(scope="session")
def talker(tmp_path_factory: pytest.TempPathFactory) -> DeepSeekOcr:
    """A model whose answers end at all lengths."""
    folder = write_talker(tmp_path_factory.mktemp("checkpoint") / "talker")
    return DeepSeekOcr(folder, device="cpu", precision="float32")


@pytest.fixture(scope="session")
def cases(talker: DeepSeekOcr) -> list[Case]:
    """Pages and what ``generate`` answers to each alone."""
    with one_thread():
        return make_cases(talker, PAGES)


@pytest.fixture(scope="session")
def decoder(talker: DeepSeekOcr) -> Decoder:
    """Ours, by the same rules."""
    return Decoder(talker.network, talker.tokenizer, talker.weights, RULE, chance_loop)
