"""Verify from headers alone that files hold the model that their config.json describes.

This runs before a model is built or weights are loaded. It opens only config.json, the safetensors
index and safetensors files, and reads a small sample of each tensor for the fingerprint.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ....core.errors import CheckpointMismatch, ModelNotFound
from .family import ModelShape, read_shape
from .headers import TensorInfo, read_header, read_json
from .locate import locate, weight_files
from .manifest import tensor_shapes

__all__ = ["Checkpoint", "open_checkpoint"]

_SHOWN = 5  # names of each kind in an error message
# Bytes of each tensor in the fingerprint, enough to tell two trainings apart: 11 MB of 6.7 GB.
_SAMPLE = 4096


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A verified checkpoint."""

    folder: Path
    name: str  # of the model
    shape: ModelShape
    tensors: Mapping[str, TensorInfo]  # by name
    fingerprint: str  # identifies the weights; it does not depend on the folder

    @property
    def files(self) -> list[Path]:
        """The safetensors files, without repeats."""
        return list(dict.fromkeys(tensor.file for tensor in self.tensors.values()))


def open_checkpoint(source: str | Path, revision: str | None = None) -> Checkpoint:
    """Find a model (see :func:`.locate.locate`) and verify its files.

    Raises:
        ModelNotFound: a file is missing.
        CheckpointMismatch: the files do not hold this model; the message names the differences.
    """
    found = locate(source, revision)
    shape = read_shape(read_json(found.path / "config.json"))
    if not (found.path / "tokenizer.json").is_file():
        raise ModelNotFound(f"tokenizer.json is missing in {found.path}; download it there")
    tensors = _collect(weight_files(found.path))
    _compare(found.path, tensors, tensor_shapes(shape))
    return Checkpoint(found.path, found.name, shape, tensors, _fingerprint(shape, tensors))


def _collect(files: Iterable[Path]) -> dict[str, TensorInfo]:
    tensors: dict[str, TensorInfo] = {}
    for file in files:
        header = read_header(file)
        if twice := sorted(header.keys() & tensors.keys()):
            raise CheckpointMismatch(
                f"duplicate tensors: {file} and {tensors[twice[0]].file} both hold {_some(twice)};"
                " keep one set of files in the folder"
            )
        tensors.update(header)
    return tensors


def _compare(
    folder: Path, found: Mapping[str, TensorInfo], expected: Mapping[str, tuple[int, ...]]
) -> None:
    report = []
    if missing := sorted(expected.keys() - found.keys()):
        report.append(f"{len(missing)} missing: {_some(missing)}")
    if extra := sorted(found.keys() - expected.keys()):
        report.append(f"{len(extra)} unexpected: {_some(extra)}")
    if wrong := [
        n for n in sorted(expected.keys() & found.keys()) if found[n].shape != expected[n]
    ]:
        shown = (f"{n} {list(found[n].shape)} instead of {list(expected[n])}" for n in wrong)
        report.append(f"{len(wrong)} with a wrong shape: {_some(list(shown))}")
    if report:
        raise CheckpointMismatch(
            f"the tensors in {folder} do not match its config.json ({len(expected)} expected):"
            f" {'; '.join(report)}. Download the model again"
        )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    # Names are cut: those in a hostile file may have any length.
    return ", ".join(name[:160] for name in names[:_SHOWN]) + more


def _fingerprint(shape: ModelShape, tensors: Mapping[str, TensorInfo]) -> str:
    digest = hashlib.sha256(repr((shape.sam, shape.clip, shape.decoder)).encode())
    handles = {file: file.open("rb") for file in {t.file for t in tensors.values()}}
    try:
        for name in sorted(tensors):
            tensor = tensors[name]
            handles[tensor.file].seek(tensor.start)
            sample = handles[tensor.file].read(min(_SAMPLE, tensor.end - tensor.start))
            digest.update(f"{name}:{tensor.dtype}:{tensor.shape}".encode() + sample)
    finally:
        for handle in handles.values():
            handle.close()
    return digest.hexdigest()[:16]
