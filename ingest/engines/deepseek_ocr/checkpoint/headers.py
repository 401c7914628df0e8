"""Read the headers of untrusted safetensors files, without loading tensors.

A file consists of the header's length (8 bytes, little-endian), the header as JSON, and the data.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from ....core.errors import CheckpointMismatch, ModelNotFound

__all__ = ["DTYPE_BYTES", "TensorInfo", "read_header", "read_json"]

# The released header with 2,710 names has 0.35 MB. The format itself allows 100 MB.
_HEADER_LIMIT = 16 * 1024**2
_JSON_LIMIT = 16 * 1024**2
# The dtypes that this engine loads. Others mean a quantized copy.
DTYPE_BYTES = {"BF16": 2, "F32": 4}
_FOREIGN = {
    b"PK\x03\x04": "a PyTorch or zip archive",
    b"\x80\x02": "a pickle",
    b"\x80\x03": "a pickle",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
    b"GGUF": "a GGUF file",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself",
}


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Description of a tensor in a file; ``start`` and ``end`` are byte offsets in the file."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def read_header(path: Path) -> dict[str, TensorInfo]:
    """Read and check the descriptions of all tensors in a safetensors file.

    Raises:
        ModelNotFound: the file cannot be read.
        CheckpointMismatch: it is not a safetensors file, is truncated, or its header is wrong.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            first = file.read(32)
            length = _header_length(path, first, size)
            file.seek(8)
            raw = file.read(length)
    except OSError as error:
        raise ModelNotFound(f"cannot read {path}: {error}; download it again") from error
    entries = _parse(path, raw)
    entries.pop("__metadata__", None)
    tensors = {name: _tensor(path, name, entry, 8 + length) for name, entry in entries.items()}
    _check_layout(path, tensors, 8 + length, size)
    return tensors


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file of limited size.

    Raises:
        ModelNotFound: the file cannot be read.
        CheckpointMismatch: it is too large, or not a JSON object.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_JSON_LIMIT + 1)
    except OSError as error:
        raise ModelNotFound(f"cannot read {path}: {error}; download it again") from error
    if len(raw) > _JSON_LIMIT:
        raise CheckpointMismatch(f"{path} is larger than {_JSON_LIMIT} bytes; download it again")
    return _parse(path, raw)


def _header_length(path: Path, first: bytes, size: int) -> int:
    for magic, what in _FOREIGN.items():
        if first.startswith(magic):
            raise CheckpointMismatch(
                f"{path} is {what}, not a safetensors file; other formats are never loaded, because"
                " a pickle can run code. Download the model's .safetensors files"
            )
    length = struct.unpack("<Q", first[:8])[0] if len(first) >= 8 else -1
    if not 2 <= length <= _HEADER_LIMIT:
        raise CheckpointMismatch(
            f"{path} is not a safetensors file: header length {length}, expected 2 to"
            f" {_HEADER_LIMIT} bytes. Download it again"
        )
    if 8 + length > size:
        raise _truncated(path, 8 + length, size)
    return int(length)


def _parse(path: Path, raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise CheckpointMismatch(f"invalid JSON in {path}: {error}; download it again") from error
    if not isinstance(value, dict):
        raise CheckpointMismatch(
            f"expected a JSON object in {path}, got {type(value).__name__}; download it again"
        )
    return value


def _tensor(path: Path, name: str, entry: object, base: int) -> TensorInfo:
    fields: Mapping[str, Any] = entry if isinstance(entry, dict) else {}
    shape: Any = fields.get("shape")
    offsets: Any = fields.get("data_offsets")
    dtype = fields.get("dtype")
    if not _are_naturals(shape) or not _are_naturals(offsets) or len(offsets) != 2:
        raise CheckpointMismatch(f"invalid header entry for {name!r} in {path}: {entry!r:.200}")
    start, end = offsets
    width = DTYPE_BYTES.get(dtype) if isinstance(dtype, str) else None
    if width is None:
        raise CheckpointMismatch(
            f"unsupported dtype {dtype!r} of {name!r} in {path}: expected"
            f" {' or '.join(DTYPE_BYTES)}. Quantized copies cannot be loaded; use the released"
            " files"
        )
    if end - start != prod(shape) * width:
        raise CheckpointMismatch(
            f"invalid header in {path}: {name!r} of shape {list(shape)} has {end - start} bytes,"
            f" expected {prod(shape) * width}"
        )
    return TensorInfo(path, str(dtype), tuple(shape), base + start, base + end)


def _are_naturals(value: Any) -> bool:
    if not isinstance(value, list) or len(value) > 8:
        return False
    return all(type(number) is int and 0 <= number < 1 << 48 for number in value)


def _check_layout(path: Path, tensors: Mapping[str, TensorInfo], start: int, size: int) -> None:
    position = start
    for name, tensor in sorted(tensors.items(), key=lambda item: item[1].start):
        if tensor.start != position:
            raise CheckpointMismatch(f"invalid header in {path}: gap or overlap before {name!r}")
        position = tensor.end
    if position > size:
        raise _truncated(path, position, size)
    if position < size:
        raise CheckpointMismatch(
            f"invalid header in {path}: {size - position} bytes belong to no tensor"
        )


def _truncated(path: Path, promised: int, size: int) -> CheckpointMismatch:
    return CheckpointMismatch(
        f"{path} is truncated: it has {size} of {promised} bytes. Download it again"
    )
