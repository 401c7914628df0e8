"""Our DeepSeek-OCR compared with numbers from the published code, on a random checkpoint.

The reference (images, numbers, the program that writes the checkpoint) is not part of this
repository. OPTICALRAG_PARITY_DATA names its folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.decoding.one_by_one import banned_in_window
from opticalrag.ingest.core.modes import MODES, Mode, decoder_tokens, tile_grid
from opticalrag.ingest.core.prompts import PROMPTS
from opticalrag.ingest.core.vision import DecodeRequest, VisionTokens
from opticalrag.ingest.engines.deepseek_ocr.checkpoint.family import DEEPSEEK_OCR
from opticalrag.ingest.engines.deepseek_ocr.checkpoint.tokenizer import Tokenizer
from opticalrag.ingest.engines.deepseek_ocr.decoder.greedy import Greedy
from opticalrag.ingest.engines.deepseek_ocr.decoder.inputs import lay_out_page, to_tensor
from opticalrag.ingest.engines.deepseek_ocr.decoder.ngram import NoRepeat
from opticalrag.ingest.engines.deepseek_ocr.encoder.preprocess import prepare
from opticalrag.ingest.engines.deepseek_ocr.model import DeepSeekOcr

from ..conftest import DATA

PARITY = Path(os.environ.get("OPTICALRAG_PARITY_DATA", DATA.parent / "parity"))
TOLERANCE = 1e-4  # relative, float32

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (PARITY / "reference.json").is_file(),
        reason=f"no reference numbers at {PARITY} (set OPTICALRAG_PARITY_DATA)",
    ),
]


def read(name: str) -> dict[str, Any]:
    """A file of the reference; empty if missing, so that tests can be collected."""
    path = PARITY / f"{name}.json"
    return json.loads(path.read_text()) if path.is_file() else {"preprocess": {}, "model": {}}


REFERENCE = read("reference")
PROMPT_NAMES = {"grounding": "markdown", "free_ocr": "free_ocr"}


def mode_of(case: str) -> Mode:
    """The mode of a case such as ``portrait/gundam6``."""
    return MODES[case.split("/")[1].replace("gundam6", "gundam-6")]


def pixels_of(case: str) -> NDArray[np.uint8]:
    """The page image of a case."""
    file = REFERENCE["images"][case.split("/")[0]]["file"]
    return np.asarray(Image.open(PARITY / "images" / file).convert("RGB"))


def sha256(array: NDArray[np.uint8]) -> str:
    """Hash of an array's bytes."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """The tokenizer of the reference."""
    return Tokenizer(PARITY / "tokenizer", DEEPSEEK_OCR.special)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> DeepSeekOcr:
    """The reference's random checkpoint, loaded in float32."""
    folder = tmp_path_factory.mktemp("parity") / "checkpoint"
    program = [sys.executable, PARITY / "make_checkpoint.py", folder]
    options = ["--tokenizer-dir", PARITY / "tokenizer"]
    subprocess.run([*program, *options], check=True, timeout=300, stdout=subprocess.DEVNULL)
    loaded = DeepSeekOcr(folder, device="cpu", precision="float32")
    for file in folder.iterdir():
        file.unlink()  # two gigabytes
    return loaded


@pytest.mark.parametrize("case", REFERENCE["preprocess"])
def test_views_equal_the_published_bytes(case: str) -> None:
    """The grid, the global view and every tile."""
    expected = REFERENCE["preprocess"][case]

    page = prepare(pixels_of(case), mode_of(case))

    assert list(page.grid) == expected["grid_cols_rows"]
    assert list(page.global_view.shape) == expected["global_shape_hwc"]
    assert sha256(page.global_view) == expected["global_sha256"]
    assert [sha256(tile) for tile in page.tiles] == expected["tile_sha256"]


@pytest.mark.parametrize("case", REFERENCE["preprocess"])
def test_prompts_are_laid_out_as_published(case: str, tokenizer: Tokenizer) -> None:
    """The ids around the page, and the number of image tokens."""
    expected = REFERENCE["preprocess"][case]
    grid = tuple(expected["grid_cols_rows"])
    count = decoder_tokens(mode_of(case), grid)
    assert count == expected["num_image_tokens"]
    for name, layout in expected["input_ids"].items():
        ids = tokenizer.prompt(PROMPTS[PROMPT_NAMES[name]].text)
        every = [*ids.before, *[DEEPSEEK_OCR.special.image[1]] * count, *ids.after]
        runs = [[key, len(list(same))] for key, same in groupby(every)]
        assert runs == layout["runs_id_count"]
        assert len(ids.before) == layout["first_image_position"]


@pytest.mark.parametrize("case", REFERENCE["model"])
def test_the_model_computes_the_published_numbers(
    case: str, model: DeepSeekOcr, record_property: Callable[[str, object], None]
) -> None:
    """Vision tokens and logits agree, and greedy decoding gives the same ids."""
    expected = REFERENCE["model"][case]
    (tokens,) = model.encode([pixels_of(case)], mode_of(case))
    request = DecodeRequest(tokens, PROMPTS[PROMPT_NAMES[expected["prompt"]]], 8)

    vision = vision_error(tokens, expected["vision"], model)
    logits = logits_error(model.first_logits(request), expected["last_logits"])
    (answer,) = model.decode([request])

    record_property("relative_error", {"vision": vision, "logits": logits})
    assert vision < TOLERANCE
    assert logits < TOLERANCE
    assert list(answer.ids) == expected["greedy"]["tokens"]


def vision_error(tokens: VisionTokens, expected: dict[str, Any], model: DeepSeekOcr) -> float:
    """Largest difference of the packed rows and of their norms, relative to the largest value."""
    newline, separator = model.constants()
    packed = lay_out_page(tokens, to_tensor(newline), to_tensor(separator)).numpy()
    assert list(packed.shape) == expected["shape"]
    rows = expected["rows"].values()
    values = max(np.abs(packed[r["index"], :8] - r["first8"]).max() for r in rows)
    norms = np.linalg.norm(packed, axis=1)
    relative = np.abs(norms / expected["row_norms"] - 1).max()
    return float(max(values / expected["abs_max"], relative))


def logits_error(logits: NDArray[np.float32], expected: dict[str, Any]) -> float:
    """Largest difference at the ten best ids and the probes, relative to the largest logit."""
    ids = [*expected["top10_ids"], *expected["probe_ids"]]
    values = [*expected["top10"], *expected["probe"]]
    return float(np.abs(logits[ids] - values).max() / expected["abs_max"])


def test_pages_decoded_together_answer_as_alone(model: DeepSeekOcr) -> None:
    """Pages of different lengths in one batch."""
    cases = ["portrait/tiny", "portrait/small"]
    tokens = [model.encode([pixels_of(case)], mode_of(case))[0] for case in cases]
    requests = [DecodeRequest(t, PROMPTS["markdown"], 8) for t in tokens]

    together = model.decode(requests)

    for case, answer in zip(cases, together, strict=True):
        assert list(answer.ids) == REFERENCE["model"][case]["greedy"]["tokens"]


def test_the_tile_grid_is_the_published_one() -> None:
    """For every size of the reference, with at most six and nine tiles, including ties."""
    rows = read("grid_reference")["rows"]
    assert len(rows) == 120
    for width, height, cols6, rows6, cols9, rows9 in rows:
        assert tile_grid(width, height, 6) == (cols6, rows6)
        assert tile_grid(width, height, 9) == (cols9, rows9)


def test_the_no_repeat_rule_bans_the_published_ids() -> None:
    """The decoder's tensors and the reference in plain Python ban the same ids in every case.

    Cases of the rule without a window are left out: nothing here applies it.
    """
    published = read("ngram_reference")
    cases = [case for case in published["cases"] if case["rule"] == "window"]
    assert len(cases) == 34
    for case in cases:
        limits = case["ngram"], case["window"], case["whitelist"]
        assert sorted(banned_in_window(case["ids"], *limits)) == case["banned"], case["name"]
        banned = banned_by_decoder(case["ids"], *limits, published["about"]["vocab_size"])
        assert banned == case["banned"], case["name"]


def banned_by_decoder(
    ids: list[int], size: int, window: int, allowed: list[int], vocabulary: int
) -> list[int]:
    """Ids that :class:`Greedy` gives a score of minus infinity, after one page wrote ``ids``."""
    scores = torch.zeros(1, 1, vocabulary)
    history = torch.tensor([([-1] * window + ids)[-window:]])
    no_guesses = torch.zeros(1, 0, dtype=torch.long)
    Greedy(NoRepeat(size, window), allowed).choose(
        scores, history, no_guesses, torch.tensor([len(ids)])
    )
    return (scores[0, 0] == -torch.inf).nonzero()[:, 0].tolist()
