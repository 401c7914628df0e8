"""The file format of an entry: one safetensors file per page, checked on every read. Pure.

The file's metadata holds the key of the page (see :class:`TokenKey`) and the codec of its numbers.
This module refuses every file that is not exactly what it writes: a decoder would turn misread
tokens into plausible nonsense.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import prod
from typing import Any, Final, get_args

import zstandard

from ..core.errors import CacheCorrupt, EngineError
from ..core.vision import TokenDtype, TokenKey, VisionTokens
from .codecs import CODECS, Codec, Parts, pack_values, unpack_values

__all__ = ["FORMAT", "FileHeader", "decode_file", "decode_tokens", "encode_tokens", "read_header"]

FORMAT: Final = "opticalrag-vision-tokens/1"
_HEADER_LIMIT: Final = 64 * 1024
_VALUES_LIMIT: Final = 4 * 1024**2  # numbers in a view; the widest page has 1,156 x 1,280
_AXES: Final = {"global_view": 2, "tiles": 3}


def encode_tokens(key: TokenKey, tokens: VisionTokens, codec: Codec = "lossless") -> bytes:
    """Encode the tokens of a page as a file."""
    views = {"global_view": tokens.global_view, "tiles": tokens.tiles}
    parts: Parts = {}
    for name, view in views.items():
        parts |= {f"{name}.{part}": array for part, array in pack_values(view, codec).items()}
    about = {
        "format": FORMAT,
        "codec": codec,
        **asdict(key),
        "dtype": tokens.dtype,
        "model": tokens.model,
        "grid": json.dumps(tokens.grid),
        "shapes": json.dumps({name: view.shape for name, view in views.items()}),
    }
    return _pack(about, parts)


def _pack(about: dict[str, str], parts: Parts) -> bytes:
    entries: dict[str, Any] = {}
    position = 0
    for name, part in parts.items():
        end = position + len(part)
        entries[name] = {"dtype": "U8", "shape": [len(part)], "data_offsets": [position, end]}
        position = end
    entries["__metadata__"] = {**about, "checksum": _checksum(about, entries)}
    header = json.dumps(entries, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # safetensors aligns the data to 8 bytes
    return b"".join([struct.pack("<Q", len(header)), header, *parts.values()])


def _checksum(about: Mapping[str, str], entries: Mapping[str, Any]) -> str:
    """Return a checksum against damage, not forgery, of the header; zstd adds one to each part."""
    content = json.dumps([sorted(about.items()), sorted(entries.items())]).encode()
    return f"{zlib.crc32(content):08x}"


@dataclass(frozen=True, slots=True)
class FileHeader:
    """The metadata of a file."""

    key: TokenKey
    codec: str
    model: str


def decode_tokens(data: bytes, key: TokenKey | None = None) -> VisionTokens:
    """Read the file of a page; see :func:`decode_file`."""
    return decode_file(data, key)[0]


def decode_file(data: bytes, key: TokenKey | None = None) -> tuple[VisionTokens, FileHeader]:
    """Read the file of a page and its header; ``key`` is the key it must have, or None for any.

    Raises:
        CacheCorrupt: the file is damaged, has another key, or is not in this format.
    """
    about, parts = _unpack(data)
    found = _key(about)
    if key is not None and found != key:
        raise CacheCorrupt(f"the entry has the key {found}, not {key}")
    codec: Any = about.get("codec")
    dtype: Any = about.get("dtype")
    shapes = _json(about, "shapes")
    grid = _json(about, "grid")
    if codec not in CODECS or dtype not in get_args(TokenDtype) or not isinstance(shapes, dict):
        raise CacheCorrupt(f"invalid codec {codec!r:.40}, dtype {dtype!r:.40} or shapes")
    try:
        views = {
            name: unpack_values(_parts_of(parts, name), codec, _shape(shapes[name], axes), dtype)
            for name, axes in _AXES.items()
        }
        tokens = VisionTokens(
            **views,
            grid=tuple(grid),
            mode=found.mode,
            dtype=dtype,
            model=about["model"],
            weights=found.weights,
            preprocessing=found.preprocessing,
        )
    except (KeyError, TypeError, ValueError, EngineError, zstandard.ZstdError) as error:
        raise CacheCorrupt(f"the entry does not match its header: {error!r:.200}") from error
    return tokens, FileHeader(found, codec, tokens.model)


def read_header(data: bytes) -> FileHeader:
    """Read the header of a file without decoding its numbers.

    Raises:
        CacheCorrupt: the header is damaged, or the file is not in this format.
    """
    about, _ = _unpack(data)
    return FileHeader(_key(about), about.get("codec", ""), about.get("model", ""))


def _unpack(data: bytes) -> tuple[dict[str, str], dict[str, memoryview]]:
    length = struct.unpack_from("<Q", data)[0] if len(data) >= 8 else 0
    if not 2 <= length <= min(_HEADER_LIMIT, len(data) - 8):
        raise CacheCorrupt(f"the entry has no readable header in its {len(data)} bytes")
    try:
        entries = json.loads(data[8 : 8 + length])
        about = entries.pop("__metadata__")
        checksum = about.pop("checksum")
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise CacheCorrupt("the entry's header cannot be read") from error
    if about.get("format") != FORMAT or checksum != _checksum(about, entries):
        raise CacheCorrupt(f"the entry is damaged, or not in the format {FORMAT}")
    if not all(isinstance(value, str) for value in about.values()):
        raise CacheCorrupt("the entry's header has a value that is not text")
    body = memoryview(data)[8 + length :]
    return about, {name: _part(entry, body) for name, entry in entries.items()}


def _part(entry: Any, body: memoryview) -> memoryview:
    try:
        start, end = entry["data_offsets"]
        if entry["dtype"] != "U8" or not 0 <= start <= end <= len(body):
            raise CacheCorrupt(f"a part spans bytes {start} to {end} of {len(body)}")
        return body[start:end]
    except (KeyError, TypeError, ValueError) as error:
        raise CacheCorrupt(f"malformed description of a part: {entry!r:.200}") from error


def _shape(value: Any, axes: int) -> tuple[int, ...]:
    sizes = tuple(value)
    fits = len(sizes) == axes and all(type(n) is int and 0 <= n <= _VALUES_LIMIT for n in sizes)
    if not fits or prod(sizes) > _VALUES_LIMIT:
        raise CacheCorrupt(f"the entry has an array of invalid shape {value!r:.80}")
    return sizes


def _key(about: Mapping[str, str]) -> TokenKey:
    try:
        return TokenKey(*(about[field.name] for field in fields(TokenKey)))
    except KeyError as error:
        raise CacheCorrupt(f"the entry's header lacks {error}") from error


def _json(about: Mapping[str, str], name: str) -> Any:
    try:
        return json.loads(about[name])
    except (KeyError, ValueError, RecursionError) as error:
        raise CacheCorrupt(f"the entry's {name} cannot be read") from error


def _parts_of(parts: Mapping[str, memoryview], view: str) -> dict[str, memoryview]:
    prefix = f"{view}."
    return {n.removeprefix(prefix): p for n, p in parts.items() if n.startswith(prefix)}
