"""Checkpoints are verified before a model is built, and hostile ones are refused."""

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
    """A copy of a checkpoint that a test may change."""
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "model"))


def save(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    """Change the tensors and write them."""
    tensors = random_tensors()
    change(tensors)
    save_file(tensors, folder / SHARD)


def configure(folder: Path, **changes: Any) -> None:
    """Change values of config.json."""
    (folder / "config.json").write_text(json.dumps({**TINY, **changes}))


def test_the_released_model_has_the_published_size() -> None:
    """As in the released index: 2,710 tensors, 6,672,212,480 bytes in bfloat16."""
    shape = read_shape(RELEASED)
    assert len(tensor_shapes(shape)) == 2710
    assert 2 * (encoder_parameters(shape) + decoder_parameters(shape)) == 6_672_212_480


def test_the_fingerprint_does_not_depend_on_the_folder(folder: Path, tmp_path: Path) -> None:
    """It depends on the weights."""
    here, there = open_checkpoint(folder), write_checkpoint(tmp_path / "elsewhere")
    assert here.fingerprint == open_checkpoint(there).fingerprint
    other = write_checkpoint(tmp_path / "other", seed=1)
    assert here.fingerprint != open_checkpoint(other).fingerprint


def test_a_missing_tensor_is_named(folder: Path) -> None:
    """With the number of missing ones."""
    save(folder, lambda tensors: tensors.pop("model.norm.weight"))
    with pytest.raises(CheckpointMismatch, match=r"1 missing: model\.norm\.weight"):
        open_checkpoint(folder)


def test_an_extra_tensor_is_named(folder: Path) -> None:
    """A file may hold no other tensors."""
    save(folder, lambda tensors: tensors.update(backdoor=torch.zeros(3)))
    with pytest.raises(CheckpointMismatch, match="1 unexpected: backdoor"):
        open_checkpoint(folder)


def test_a_tensor_with_a_wrong_shape_is_named_with_both_shapes(folder: Path) -> None:
    """Found and expected."""
    save(folder, lambda t: t.update({"model.norm.weight": torch.zeros(31)}))
    with pytest.raises(CheckpointMismatch, match=r"model\.norm\.weight \[31\] instead of \[32\]"):
        open_checkpoint(folder)


@pytest.mark.parametrize("keep", [0, 4, 100, 5000, -1])
def test_a_truncated_file_is_refused(folder: Path, keep: int) -> None:
    """At any length."""
    path = folder / SHARD
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointMismatch, match="Download it again"):
        open_checkpoint(folder)


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.mark,))


def test_a_pickle_under_a_safetensors_name_is_not_loaded(folder: Path, tmp_path: Path) -> None:
    """And its code does not run."""
    mark = tmp_path / "executed"
    (folder / SHARD).write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(CheckpointMismatch, match="a pickle"):
        DeepSeekOcr(folder, device="cpu")
    assert not mark.exists()


def test_a_folder_of_pickles_is_refused_with_the_reason(folder: Path) -> None:
    """The message names the pickle, not just an empty folder."""
    (folder / SHARD).rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelNotFound, match=r"pytorch_model\.bin.*can run code"):
        open_checkpoint(folder)


def test_code_in_a_checkpoint_is_never_run(folder: Path, tmp_path: Path) -> None:
    """A configuration that names remote code loads without it."""
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
    """The message names the value."""
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
def test_invalid_headers_are_refused(folder: Path, header: Any) -> None:
    """Huge or negative shapes, gaps, other dtypes, other types than objects."""
    raw = json.dumps(header).encode()
    (folder / SHARD).write_bytes(struct.pack("<Q", len(raw)) + raw + bytes(8))
    with pytest.raises(CheckpointMismatch):
        open_checkpoint(folder)


@pytest.mark.parametrize("name", ["../evil.safetensors", "/etc/x.safetensors", "x.bin", "", 7])
def test_an_index_of_files_outside_the_folder_is_refused(folder: Path, name: object) -> None:
    """Only plain names of safetensors files in the folder."""
    (folder / INDEX).write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(CheckpointMismatch, match="in that folder; do not use this copy"):
        open_checkpoint(folder)


def test_a_missing_file_of_the_index_is_named(folder: Path) -> None:
    """As after an interrupted download."""
    (folder / INDEX).write_text(json.dumps({"weight_map": {"a": "b.safetensors"}}))
    with pytest.raises(ModelNotFound, match=r"missing in .*: b\.safetensors"):
        open_checkpoint(folder)


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json"])
def test_missing_files_are_named(folder: Path, file: str) -> None:
    """Weights alone are not enough."""
    (folder / file).unlink()
    with pytest.raises(ModelNotFound, match=file):
        open_checkpoint(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "{}"])
def test_broken_json_is_refused(folder: Path, text: str) -> None:
    """The message names the file."""
    (folder / "config.json").write_text(text)
    with pytest.raises(CheckpointMismatch, match=r"config\.json"):
        open_checkpoint(folder)


def test_a_tokenizer_of_another_model_is_refused(folder: Path) -> None:
    """Its special tokens have other ids."""
    path = folder / "tokenizer.json"
    path.write_text(path.read_text().replace("128815", "128814"))
    with pytest.raises(CheckpointMismatch, match="'<image>'"):
        Tokenizer(folder, DEEPSEEK_OCR.special)


def test_a_hub_model_without_connection_names_the_download_command() -> None:
    """Including the repository."""
    with pytest.raises(ModelNotFound, match="opticalrag models download deepseek-ai/DeepSeek-OCR"):
        locate("deepseek-ai/DeepSeek-OCR", download=False)


@pytest.mark.parametrize("source", ["no/such/folder", "nowhere", "", "someone/else"])
def test_an_unknown_model_is_refused(source: str) -> None:
    """It is neither a folder nor a pinned repository; the hub is not contacted."""
    with pytest.raises(ModelNotFound):
        locate(source)
