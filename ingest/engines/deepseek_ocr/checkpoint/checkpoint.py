"""Decide from headers alone whether files are the model they claim to be.

Everything here happens before a model is built or a weight is read, and opens only the files
it has checked: config.json, the index, safetensors headers.
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

_SHOWN = 5  # names of each kind in a report
# Enough of each tensor to tell two trainings apart: 11 MB of the released 6.7 GB.
_SAMPLE = 4096


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Files proven to hold a model: its sizes, and where each tensor lies.

    ``fingerprint`` is the same for the same weights, in whichever folder they are.
    """

    folder: Path
    name: str
    shape: ModelShape
    tensors: Mapping[str, TensorInfo]
    fingerprint: str

    @property
    def files(self) -> list[Path]:
        """The safetensors files, each once."""
        return list(dict.fromkeys(tensor.file for tensor in self.tensors.values()))


def open_checkpoint(source: str | Path, revision: str | None = None) -> Checkpoint:
    """Find a model and check its files.

    Args:
        source: a local folder or a hub id.
        revision: commit on the hub (see :func:`.locate.locate`).

    Raises:
        ModelNotFound: files that are not there.
        CheckpointMismatch: files that are not this model; the message names the differences.
    """
    found = locate(source, revision)
    shape = read_shape(read_json(found.path / "config.json"))
    if not (found.path / "tokenizer.json").is_file():
        raise ModelNotFound(f"{found.path} lacks tokenizer.json; download it into the folder")
    tensors = _collect(weight_files(found.path))
    _compare(found.path, tensors, tensor_shapes(shape))
    return Checkpoint(found.path, found.name, shape, tensors, _fingerprint(shape, tensors))


def _collect(files: Iterable[Path]) -> dict[str, TensorInfo]:
    tensors: dict[str, TensorInfo] = {}
    for file in files:
        header = read_header(file)
        if twice := sorted(header.keys() & tensors.keys()):
            raise CheckpointMismatch(
                f"{file} and {tensors[twice[0]].file} both hold {_some(twice)}; keep one set of"
                " files in the folder"
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
        report.append(f"{len(extra)} not of this model: {_some(extra)}")
    if wrong := [
        n for n in sorted(expected.keys() & found.keys()) if found[n].shape != expected[n]
    ]:
        shown = (f"{n} {list(found[n].shape)} instead of {list(expected[n])}" for n in wrong)
        report.append(f"{len(wrong)} of another shape: {_some(list(shown))}")
    if report:
        raise CheckpointMismatch(
            f"the tensors in {folder} are not those its config.json describes"
            f" ({len(expected)} expected): {'; '.join(report)}. Download the model again"
        )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    # A hostile file may hold names of any length.
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
