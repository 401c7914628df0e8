"""Compresses arrays of vision tokens and restores them. Pure.

- ``lossless``: splits the numbers into byte planes. zstd compresses the plane with sign and
  exponent; the mantissas are noise and are stored as they are. Exact, two thirds of the size.
- ``int8``: one scale per channel. Half the size.
- ``int4``: one scale per 32 neighbouring channels of a token. Slightly over a quarter.

``benchmarks/decoding/token_cache.py`` measures what each codec loses.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from math import prod
from typing import Any, Final, Literal, get_args

import numpy as np
import zstandard
from numpy.typing import NDArray

from ..core.vision import TokenDtype, bfloat16_bits, float32_values

__all__ = ["CODECS", "Codec", "Parts", "is_lossier", "pack_values", "unpack_values"]

Codec = Literal["lossless", "int8", "int4"]
CODECS: Final[tuple[Codec, ...]] = get_args(Codec)
"""All codecs, the most exact first."""


def is_lossier(codec: str, than: str) -> bool:
    """Whether ``codec`` loses more than the codec ``than``."""
    return CODECS.index(codec) > CODECS.index(than)


Parts = dict[str, bytes]
"""zstd frames by name; each frame records its size and a checksum."""

_thread_local = threading.local()

_GROUP: Final = 32  # channels that share an int4 scale

_ENTROPY_ONLY: Final = zstandard.ZstdCompressionParameters(
    strategy=zstandard.STRATEGY_FAST,
    window_log=18,
    hash_log=6,
    chain_log=6,
    search_log=1,
    min_match=7,
    target_length=0,
    write_checksum=True,
)
"""Entropy coding with almost no match search: exponents hold no repeats worth finding.
Measured on normal numbers: 0.34 of the plane in 0.37 ms; level 1 gets 0.36 in 1.0 ms."""

_NOISE: Final = zstandard.ZstdCompressionParameters.from_level(1, write_checksum=True)
"""For data that does not compress: zstd stores it at 6 GB/s and checks it at 9 GB/s (measured)."""


def pack_values(values: NDArray[Any], codec: Codec) -> Parts:
    """Compress ``[..., channels]`` in float32, or in uint16 with the raw bits of bfloat16."""
    return _PACKERS[codec](values)


def unpack_values(
    parts: Mapping[str, bytes | memoryview], codec: Codec, shape: tuple[int, ...], dtype: TokenDtype
) -> NDArray[Any]:
    """Restore an array with the shape and dtype it had.

    Raises:
        KeyError, ValueError, zstandard.ZstdError: the parts are damaged or do not match the shape.
    """
    return _UNPACKERS[codec](parts, shape, dtype)


def _pack_lossless(values: NDArray[Any]) -> Parts:
    bits = np.ascontiguousarray(values).reshape(-1).view(f"u{values.itemsize}")
    top = values.itemsize - 1
    planes = ((bits >> 8 * i).astype(np.uint8) for i in range(values.itemsize))
    return {
        f"plane{i}": _frame(plane.tobytes(), _ENTROPY_ONLY if i == top else _NOISE)
        for i, plane in enumerate(planes)
    }


def _unpack_lossless(
    parts: Mapping[str, Any], shape: tuple[int, ...], dtype: TokenDtype
) -> NDArray[Any]:
    wide = np.dtype(np.uint16 if dtype == "bfloat16" else np.uint32)
    planes = (_unframe(parts[f"plane{i}"], prod(shape)) for i in range(wide.itemsize))
    whole = next(planes).astype(wide)
    for i, plane in enumerate(planes, start=1):
        whole |= plane.astype(wide) << wide.type(8 * i)
    return (whole if dtype == "bfloat16" else whole.view(np.float32)).reshape(shape)


def _pack_int8(values: NDArray[Any]) -> Parts:
    wide = float32_values(values).reshape(-1, values.shape[-1])
    scale = (np.abs(wide).max(axis=0, initial=0) / 127).astype(np.float32)
    levels = np.round(wide / np.where(scale > 0, scale, 1)).astype(np.int8)
    return {"levels": _frame(levels.tobytes(), _NOISE), "scale": _frame(scale.tobytes(), _NOISE)}


def _unpack_int8(
    parts: Mapping[str, Any], shape: tuple[int, ...], dtype: TokenDtype
) -> NDArray[Any]:
    channels = shape[-1]
    levels = _unframe(parts["levels"], prod(shape)).view(np.int8).reshape(-1, channels)
    scale = _unframe(parts["scale"], 4 * channels).view(np.float32)
    return _to_dtype(levels.astype(np.float32) * scale, dtype).reshape(shape)


def _pack_int4(values: NDArray[Any]) -> Parts:
    wide = float32_values(values).reshape(-1)
    groups = np.pad(wide, (0, -len(wide) % _GROUP)).reshape(-1, _GROUP)
    bits = bfloat16_bits(np.abs(groups).max(axis=1, initial=0) / 7)
    scale = float32_values(bits)[:, None]
    levels = np.clip(np.round(groups / np.where(scale > 0, scale, 1)), -7, 7) + 8
    pairs = levels.astype(np.uint8).reshape(-1, 2)
    packed = pairs[:, 0] | pairs[:, 1] << 4
    return {"pairs": _frame(packed.tobytes(), _NOISE), "scale": _frame(bits.tobytes(), _NOISE)}


def _unpack_int4(
    parts: Mapping[str, Any], shape: tuple[int, ...], dtype: TokenDtype
) -> NDArray[Any]:
    groups = -(-prod(shape) // _GROUP)
    pairs = _unframe(parts["pairs"], groups * _GROUP // 2)
    scale = float32_values(_unframe(parts["scale"], 2 * groups).view(np.uint16))
    levels = np.stack([pairs & 15, pairs >> 4], axis=1).astype(np.float32) - 8
    values = levels.reshape(-1, _GROUP) * scale[:, None]
    return _to_dtype(values.reshape(-1)[: prod(shape)], dtype).reshape(shape)


def _to_dtype(values: NDArray[np.float32], dtype: TokenDtype) -> NDArray[Any]:
    return bfloat16_bits(values) if dtype == "bfloat16" else values.astype(np.float32)


def _frame(data: bytes, parameters: zstandard.ZstdCompressionParameters) -> bytes:
    return zstandard.ZstdCompressor(compression_params=parameters).compress(data)


def _unframe(frame: bytes | memoryview, size: int) -> NDArray[np.uint8]:
    """Decompress a frame; refuse one that does not announce exactly ``size`` bytes."""
    announced = zstandard.get_frame_parameters(frame)
    if announced.content_size != size or not announced.has_checksum:
        raise ValueError(f"a part unpacks to {announced.content_size} bytes, not {size}")
    return np.frombuffer(_decompressor().decompress(frame), np.uint8)


def _decompressor() -> zstandard.ZstdDecompressor:
    """Return this thread's decompressor: making one takes longer than unpacking a small part."""
    if not hasattr(_thread_local, "decompressor"):
        _thread_local.decompressor = zstandard.ZstdDecompressor()
    decompressor: zstandard.ZstdDecompressor = _thread_local.decompressor
    return decompressor


_PACKERS: Final[Mapping[Codec, Callable[[NDArray[Any]], Parts]]] = {
    "lossless": _pack_lossless,
    "int8": _pack_int8,
    "int4": _pack_int4,
}
_UNPACKERS: Final[
    Mapping[Codec, Callable[[Mapping[str, Any], tuple[int, ...], TokenDtype], NDArray[Any]]]
] = {"lossless": _unpack_lossless, "int8": _unpack_int8, "int4": _unpack_int4}
