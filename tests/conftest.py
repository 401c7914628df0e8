"""Shared by all tests: where the shared documents are, and no network but loopback."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from .guard.sitecustomize import block_network

if TYPE_CHECKING:
    from opticalrag.ingest.engines.deepseek_ocr.model import DeepSeekOcr

REPOSITORY = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("OPTICALRAG_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
SAMPLE = REPOSITORY / "notebooks" / "sample" / "report.pdf"
CARDS = REPOSITORY / "notebooks" / "sample" / "cards.pdf"
TINY_SYNTHETIC = REPOSITORY / "models" / "tiny-synthetic"

# Nothing may ask a model hub, also not in the processes that tests start.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# How long an example takes says more about the machine than about the code.
# Where CI runs, the same examples are tried every time: it judges a change, people explore.
hypothesis.settings.register_profile("untimed", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("untimed")

# Processes that tests start import the same guard before anything else.
_GUARD = REPOSITORY / "tests" / "guard"
_paths = [str(_GUARD), *filter(None, [os.environ.get("PYTHONPATH")])]
os.environ["PYTHONPATH"] = os.pathsep.join(_paths)


@pytest.fixture(autouse=True, scope="session")
def _loopback_only() -> Iterator[None]:
    undo = block_network()
    yield
    undo()


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of shared documents; the test is skipped where there is none."""
    if not DATA.is_dir():
        pytest.skip(f"no shared documents at {DATA} (set OPTICALRAG_TEST_DATA)")
    return DATA


@pytest.fixture(scope="session")
def sample() -> Path:
    """The sample report of the repository."""
    return SAMPLE


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DeepSeek-OCR of random weights in the released layout; read only."""
    from benchmarks.decoding.random_checkpoint import write_checkpoint

    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny")


@pytest.fixture(scope="session")
def tiny_model(tiny_checkpoint: Path) -> DeepSeekOcr:
    """That model, loaded in float32 on the CPU."""
    from opticalrag.ingest.engines.deepseek_ocr.model import DeepSeekOcr

    return DeepSeekOcr(tiny_checkpoint, device="cpu", precision="float32")


@pytest.fixture(scope="session")
def reading_model() -> DeepSeekOcr:
    """The shipped small model, which reads the sample cards and pages drawn like them."""
    from opticalrag.ingest.engines.deepseek_ocr.model import DeepSeekOcr

    return DeepSeekOcr(TINY_SYNTHETIC, device="cpu")
