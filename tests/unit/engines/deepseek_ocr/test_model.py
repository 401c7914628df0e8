"""The whole model with random weights: properties that hold for any answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from opticalrag.ingest.core.errors import ConfigError, EngineError, OutOfMemory, PageRenderFailed
from opticalrag.ingest.core.modes import MODES
from opticalrag.ingest.core.prompts import PROMPTS, Prompt, prompt_named
from opticalrag.ingest.core.vision import DecodeRequest, VisionTokens, float32_values
from opticalrag.ingest.engines.deepseek_ocr.checkpoint.checkpoint import open_checkpoint
from opticalrag.ingest.engines.deepseek_ocr.checkpoint.weights import load_network
from opticalrag.ingest.engines.deepseek_ocr.decoder.ngram import NoRepeat
from opticalrag.ingest.engines.deepseek_ocr.device.runtime import (
    Machine,
    Runtime,
    free_bytes,
    plan_runtime,
    probe_machine,
    require_memory,
)
from opticalrag.ingest.engines.deepseek_ocr.encoder.preprocess import prepare
from opticalrag.ingest.engines.deepseek_ocr.encoder.sam_attention import replace_attention
from opticalrag.ingest.engines.deepseek_ocr.kernels import relative
from opticalrag.ingest.engines.deepseek_ocr.kernels.dispatch import Kernels
from opticalrag.ingest.engines.deepseek_ocr.model import DeepSeekOcr

MARKDOWN = PROMPTS["markdown"]


def picture(seed: int, height: int = 900, width: int = 700) -> NDArray[np.uint8]:
    """Return a page of noise."""
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)


def encoded(model: DeepSeekOcr, mode: str, seed: int = 0) -> VisionTokens:
    """Encode a page of noise."""
    return model.encode([picture(seed)], MODES[mode])[0]


@pytest.mark.parametrize(
    ("mode", "grid", "count"), [("tiny", (1, 1), 64), ("base", (1, 1), 256), ("gundam", (3, 3), 0)]
)
def test_pages_become_as_many_tokens_as_their_mode_says(
    tiny_model: DeepSeekOcr, mode: str, grid: tuple[int, int], count: int
) -> None:
    """Mode and weights are recorded with them."""
    tokens = encoded(tiny_model, mode)
    tiles = tokens.grid[0] * tokens.grid[1] if mode == "gundam" else 0
    assert tokens.count == (count or 256 + 100 * tiles)
    assert (tokens.mode, tokens.weights) == (mode, tiny_model.weights)
    assert np.isfinite(float32_values(tokens.global_view)).all()


def test_pages_encoded_together_are_as_if_alone(tiny_model: DeepSeekOcr) -> None:
    """Tiles of different pages share batches, but do not mix."""
    pages = [picture(i, 900 + 400 * i, 700) for i in range(3)]
    together = tiny_model.encode(pages, MODES["gundam"])
    for pixels, tokens in zip(pages, together, strict=True):
        (alone,) = tiny_model.encode([pixels], MODES["gundam"])
        np.testing.assert_allclose(tokens.global_view, alone.global_view, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(tokens.tiles, alone.tiles, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("side", [512, 640, 1024])
def test_attention_with_its_bias_in_parts_equals_transformers(
    tiny_checkpoint: Path, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the whole encoder, at the trained size and at others."""
    runtime = plan_runtime(probe_machine(), "cpu", "float32")
    tower = load_network(open_checkpoint(tiny_checkpoint), runtime).model.vision_tower
    pixels = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(side))
    with torch.inference_mode():
        theirs = tower(pixels).last_hidden_state
        replace_attention(tower, Kernels())
        whole = tower(pixels).last_hidden_state
        monkeypatch.setattr(relative, "_CPU_BYTES", 2**20)
        in_parts = tower(pixels).last_hidden_state
    torch.testing.assert_close(whole, theirs, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(in_parts, whole, rtol=1e-6, atol=1e-6)


def test_pages_decoded_together_are_as_if_alone(tiny_model: DeepSeekOcr) -> None:
    """With different lengths, prompts and token limits."""
    requests = [
        DecodeRequest(encoded(tiny_model, "tiny", 1), MARKDOWN, 40),
        DecodeRequest(encoded(tiny_model, "base", 2), PROMPTS["free_ocr"], 17),
        DecodeRequest(encoded(tiny_model, "gundam", 3), prompt_named("locate:x"), 60),
    ]
    together = tiny_model.decode(requests)
    alone = [tiny_model.decode([request])[0] for request in requests]
    assert [t.ids for t in together] == [t.ids for t in alone]
    assert [t.finish_reason for t in together] == [t.finish_reason for t in alone]
    assert [len(t.ids) for t in together] == [40, 17, 60]


def test_the_token_limit_ends_an_answer(tiny_model: DeepSeekOcr) -> None:
    """It is the recorded reason. Special tokens stay in the text."""
    (answer,) = tiny_model.decode([DecodeRequest(encoded(tiny_model, "tiny"), MARKDOWN, 5)])
    assert (len(answer.ids), answer.finish_reason) == (5, "length")
    assert answer.prompt_name == "markdown"
    assert answer.decoder_tokens == 73


def test_no_ngram_is_written_twice_in_a_window(tiny_checkpoint: Path) -> None:
    """The decoder applies the rule."""
    model = DeepSeekOcr(tiny_checkpoint, device="cpu", rule=NoRepeat(2, 50))
    (answer,) = model.decode([DecodeRequest(encoded(model, "tiny"), MARKDOWN, 50)])
    pairs = list(zip(answer.ids, answer.ids[1:], strict=False))
    assert len(pairs) == len(set(pairs)) > 10


def test_a_tile_can_be_decoded_alone(tiny_model: DeepSeekOcr) -> None:
    """Instead of the whole page."""
    tile = encoded(tiny_model, "gundam").tile(1, 0)
    (answer,) = tiny_model.decode([DecodeRequest(tile, MARKDOWN, 5)])
    assert answer.decoder_tokens == 111


def test_tokens_of_other_weights_are_rejected(tiny_model: DeepSeekOcr) -> None:
    """The model would read them as noise."""
    other = replace(encoded(tiny_model, "tiny"), weights="0123456789abcdef")
    with pytest.raises(EngineError, match="only the weights that encoded a page"):
        tiny_model.decode([DecodeRequest(other, MARKDOWN)])


@pytest.mark.parametrize("limit", [0, -1])
def test_a_token_limit_below_one_is_rejected(tiny_model: DeepSeekOcr, limit: int) -> None:
    """The page would be empty."""
    with pytest.raises(ConfigError, match="at least 1"):
        tiny_model.decode([DecodeRequest(encoded(tiny_model, "tiny"), MARKDOWN, limit)])


def test_a_prompt_longer_than_the_context_is_rejected(tiny_model: DeepSeekOcr) -> None:
    """The page and the prompt share the context."""
    prompt = Prompt("custom", "<image>\n" + "word " * 1000)
    with pytest.raises(ConfigError, match="fill the context"):
        tiny_model.decode([DecodeRequest(encoded(tiny_model, "tiny"), prompt)])


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((0, 0, 3), np.uint8),
        np.zeros((10, 10), np.uint8),
        np.zeros((10, 10, 4), np.uint8),
        np.zeros((10, 10, 3), np.float32),
        np.zeros((1, 9000, 3), np.uint8),
    ],
)
def test_invalid_page_images_are_rejected(pixels: NDArray[np.uint8]) -> None:
    """Those of a wrong shape or type, and those too thin to be seen."""
    with pytest.raises(PageRenderFailed):
        prepare(pixels, MODES["base"])


def test_device_and_precision_follow_from_the_machine() -> None:
    """A GPU if there is one, bfloat16 if it is fast, flash attention if it is installed."""
    gpu = Machine(gpus=(True,), cpu_bfloat16=False, flash_attention=True)
    old = Machine(gpus=(), cpu_bfloat16=False, flash_attention=True)
    assert plan_runtime(gpu) == Runtime("cuda", "bfloat16", "bfloat16", "flash_attention_2")
    assert plan_runtime(old) == Runtime("cpu", "float32", "bfloat16", "sdpa")
    assert plan_runtime(gpu, "cpu", "float32") == Runtime("cpu", "float32", "float32", "sdpa")
    with pytest.raises(ConfigError, match="no GPU"):
        plan_runtime(old, "cuda")
    with pytest.raises(ConfigError, match="choose auto"):
        plan_runtime(old, "tpu")


def test_precision_follows_from_the_gpu_that_is_named() -> None:
    """With "cuda" alone, it must suit every GPU."""
    mixed = Machine(gpus=(True, False), cpu_bfloat16=False, flash_attention=False)
    assert plan_runtime(mixed, "cuda:0").decoder == "bfloat16"
    assert plan_runtime(mixed, "cuda:1").decoder == "float32"
    assert plan_runtime(mixed, "cuda").decoder == "float32"


@pytest.mark.parametrize(
    "device", ["cuda:2", "cuda:", "cuda:x", "cuda:-1", "cuda:01", "cuda:\u00b2"]
)
def test_a_missing_gpu_is_an_error(device: str) -> None:
    """Torch would raise an error of its own, sometimes only when it allocates memory."""
    two = Machine(gpus=(True, True), cpu_bfloat16=False, flash_attention=False)
    with pytest.raises(ConfigError, match="PyTorch sees cuda:0, cuda:1; choose one"):
        plan_runtime(two, device)


def test_memory_that_torch_reserves_counts_as_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a second document gets a fraction of the first one's slots."""
    figures = {"mem_get_info": (5, 80), "memory_reserved": 70, "memory_allocated": 10}
    for name, value in figures.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    assert free_bytes("cuda:0") == 65


def test_missing_memory_is_an_error() -> None:
    """The message has both numbers."""
    require_memory(10, None, "it", "wait")
    with pytest.raises(OutOfMemory, match=r"needs 7\.0 GB of memory and 2\.0 GB are free; wait"):
        require_memory(7 * 10**9, 2 * 10**9, "it", "wait")
