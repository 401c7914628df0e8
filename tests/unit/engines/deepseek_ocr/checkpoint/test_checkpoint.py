"""Files are proven to be the model before anything is built from them."""

from __future__ import annotations

import json
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from benchmarks.decoding.random_checkpoint import (
    RELEASED,
    SHARD,
    TINY,
    random_tensors,
    write_checkpoint,
)
from opticalrag.ingest.core.errors import CheckpointMismatch, ModelNotFound
from opticalrag.ingest.engines.deepseek_ocr.checkpoint.checkpoint import open_checkpoint
from opticalrag.ingest.engines.deepseek_ocr.checkpoint.family import DEEPSEEK_OCR, read_shape
from opticalrag.ingest.engines.deepseek_ocr.checkpoint.locate import locate
from opticalrag.ingest.engines.deepseek_ocr.checkpoint.manifest import (
    decoder_parameters,
    encoder_parameters,
    tensor_shapes,
)
from opticalrag.ingest.engines.deepseek_ocr.checkpoint.tokenizer import Tokenizer
from opticalrag.ingest.engines.deepseek_ocr.model import DeepSeekOcr

INDEX = "model.safetensors.index.json"


@pytest.fixture
def folder(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint to spoil."""
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "model"))


def save(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    """Write the tensors again after a change."""
    tensors = random_tensors()
    change(tensors)
    save_file(tensors, folder / SHARD)


def configure(folder: Path, **changes: Any) -> None:
    """Change values of config.json."""
    (folder / "config.json").write_text(json.dumps({**TINY, **changes}))


def test_the_released_model_has_the_published_size() -> None:
    """Names and parameters of the released index: 2,710 tensors, 6,672,212,480 bytes in bf16."""
    shape = read_shape(RELEASED)
    assert len(tensor_shapes(shape)) == 2710
    assert 2 * (encoder_parameters(shape) + decoder_parameters(shape)) == 6_672_212_480


def test_a_whole_checkpoint_is_the_same_wherever_it_lies(folder: Path, tmp_path: Path) -> None:
    """Its fingerprint comes from the weights, not from the path."""
    here, there = open_checkpoint(folder), write_checkpoint(tmp_path / "elsewhere")
    assert here.fingerprint == open_checkpoint(there).fingerprint
    other = write_checkpoint(tmp_path / "other", seed=1)
    assert here.fingerprint != open_checkpoint(other).fingerprint


def test_a_missing_tensor_is_named(folder: Path) -> None:
    """With how many there are."""
    save(folder, lambda tensors: tensors.pop("model.norm.weight"))
    with pytest.raises(CheckpointMismatch, match=r"1 missing: model\.norm\.weight"):
        open_checkpoint(folder)


def test_an_extra_tensor_is_named(folder: Path) -> None:
    """Nothing in a file goes unexplained."""
    save(folder, lambda tensors: tensors.update(backdoor=torch.zeros(3)))
    with pytest.raises(CheckpointMismatch, match="1 unexpected: backdoor"):
        open_checkpoint(folder)


def test_a_tensor_of_another_shape_is_named_with_both(folder: Path) -> None:
    """Found and expected."""
    save(folder, lambda t: t.update({"model.norm.weight": torch.zeros(31)}))
    with pytest.raises(CheckpointMismatch, match=r"model\.norm\.weight \[31\] instead of \[32\]"):
        open_checkpoint(folder)


@pytest.mark.parametrize("keep", [0, 4, 100, 5000, -1])
def test_a_file_cut_short_is_recognised(folder: Path, keep: int) -> None:
    """Wherever it was cut."""
    path = folder / SHARD
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointMismatch, match="Download it again"):
        open_checkpoint(folder)


class Bomb:
    """Leaves a file where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.mark,))


def test_a_pickle_under_a_safetensors_name_is_not_loaded(folder: Path, tmp_path: Path) -> None:
    """And nothing in it runs."""
    mark = tmp_path / "executed"
    (folder / SHARD).write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(CheckpointMismatch, match="a pickle"):
        DeepSeekOcr(folder, device="cpu")
    assert not mark.exists()


def test_a_folder_of_pickles_is_refused_with_the_reason(folder: Path) -> None:
    """Not just said to be empty."""
    (folder / SHARD).rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelNotFound, match=r"pytorch_model\.bin.*can run code"):
        open_checkpoint(folder)


def test_code_that_a_checkpoint_brings_is_never_run(folder: Path, tmp_path: Path) -> None:
    """A config that names remote code loads as if it did not."""
    mark = tmp_path / "executed"
    code = f"from pathlib import Path\nPath({str(mark)!r}).touch()\n"
    for name in ("modeling_deepseekocr.py", "configuration_deepseek_v2.py", "tokenizer.py"):
        (folder / name).write_text(code)
    configure(folder, auto_map={"AutoConfig": "modeling_deepseekocr.DeepseekOCRConfig"})
    DeepSeekOcr(folder, device="cpu")
    assert not mark.exists()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model_type": "llama"}, "model_type 'llama'"),
        ({"architectures": ["DeepseekOCR2ForCausalLM"]}, "DeepseekOCR2ForCausalLM"),
        ({"vision_config": None}, "vision_config"),
        ({"projector_config": {"projector_type": "mlp"}}, "projector_config.projector_type"),
        ({"language_config": {**TINY["language_config"], "use_mla": True}}, "use_mla"),
        ({"language_config": {**TINY["language_config"], "hidden_size": 10**9}}, "hidden_size"),
        ({"language_config": {**TINY["language_config"], "vocab_size": "x"}}, "vocab_size"),
    ],
)
def test_another_models_configuration_is_refused(
    folder: Path, changes: dict[str, Any], named: str
) -> None:
    """The value that differs is in the message."""
    configure(folder, **changes)
    with pytest.raises(CheckpointMismatch, match=named):
        open_checkpoint(folder)


@pytest.mark.parametrize(
    "header",
    [
        {"a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 8]}},
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}},
        {"a": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}},
        {"a": {"dtype": "I8", "shape": [8], "data_offsets": [0, 8]}},
        {"a": 7},
        [],
    ],
)
def test_headers_that_lie_are_refused(folder: Path, header: Any) -> None:
    """Huge or negative shapes, gaps, other numbers, no objects."""
    raw = json.dumps(header).encode()
    (folder / SHARD).write_bytes(struct.pack("<Q", len(raw)) + raw + bytes(8))
    with pytest.raises(CheckpointMismatch):
        open_checkpoint(folder)


@pytest.mark.parametrize("name", ["../evil.safetensors", "/etc/x.safetensors", "x.bin", "", 7])
def test_an_index_that_leads_elsewhere_is_refused(folder: Path, name: object) -> None:
    """Only plain names of safetensors files in the folder."""
    (folder / INDEX).write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(CheckpointMismatch, match="in that folder; do not use this copy"):
        open_checkpoint(folder)


def test_an_index_of_absent_files_says_which(folder: Path) -> None:
    """A download that was broken off."""
    (folder / INDEX).write_text(json.dumps({"weight_map": {"a": "b.safetensors"}}))
    with pytest.raises(ModelNotFound, match=r"missing in .*: b\.safetensors"):
        open_checkpoint(folder)


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json"])
def test_absent_files_are_named(folder: Path, file: str) -> None:
    """Weights alone are no model."""
    (folder / file).unlink()
    with pytest.raises(ModelNotFound, match=file):
        open_checkpoint(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "{}"])
def test_broken_json_is_refused(folder: Path, text: str) -> None:
    """With the file's name."""
    (folder / "config.json").write_text(text)
    with pytest.raises(CheckpointMismatch, match=r"config\.json"):
        open_checkpoint(folder)


def test_a_tokenizer_of_another_model_is_refused(folder: Path) -> None:
    """Its special tokens have other ids."""
    path = folder / "tokenizer.json"
    path.write_text(path.read_text().replace("128815", "128814"))
    with pytest.raises(CheckpointMismatch, match="'<image>'"):
        Tokenizer(folder, DEEPSEEK_OCR.special)


def test_a_hub_model_without_connection_says_how_to_get_it() -> None:
    """With the command."""
    with pytest.raises(ModelNotFound, match="opticalrag models download deepseek-ai/DeepSeek-OCR"):
        locate("deepseek-ai/DeepSeek-OCR", download=False)


@pytest.mark.parametrize("source", ["no/such/folder", "nowhere", "", "someone/else"])
def test_a_model_that_is_nowhere_is_refused(source: str) -> None:
    """Neither a folder nor a pinned repository; the hub is not asked."""
    with pytest.raises(ModelNotFound):
        locate(source)
