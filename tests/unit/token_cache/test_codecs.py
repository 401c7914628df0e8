"""The codecs and the file format of an entry."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from opticalrag.ingest.core.errors import CacheCorrupt
from opticalrag.ingest.core.vision import TokenKey, VisionTokens, bfloat16_bits, float32_values
from opticalrag.ingest.token_cache.codecs import CODECS, Codec, unpack_values
from opticalrag.ingest.token_cache.file import decode_tokens, encode_tokens, read_header

KEY = TokenKey("a" * 64, "144dpi", "gundam", "w" * 16, "pillow-1")


def tokens(dtype: str = "bfloat16", tiles: int = 6, seed: int = 0) -> VisionTokens:
    """Make a page of normally distributed numbers."""
    rng = np.random.default_rng(seed)
    views: list[Any] = [
        rng.standard_normal(shape, np.float32)
        for shape in ((16, 96), (tiles, 4 if tiles else 0, 96))
    ]
    if dtype == "bfloat16":
        views = [bfloat16_bits(view) for view in views]
    grid = (2, 3) if tiles else (1, 1)
    made_by = ("model", KEY.weights, KEY.preprocessing)
    return VisionTokens(views[0], views[1], grid, KEY.mode, dtype, *made_by)  # type: ignore[arg-type]


def same(one: VisionTokens, two: VisionTokens) -> bool:
    """Whether two pages are identical bit for bit."""
    facts = ("grid", "mode", "dtype", "model", "weights", "preprocessing")
    return (
        all(getattr(one, f) == getattr(two, f) for f in facts)
        and one.global_view.tobytes() == two.global_view.tobytes()
        and one.tiles.tobytes() == two.tiles.tobytes()
        and one.tiles.shape == two.tiles.shape
    )


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("tiles", [0, 6])
def test_lossless_restores_every_bit(dtype: str, tiles: int) -> None:
    """The metadata of the page is restored, too."""
    page = tokens(dtype, tiles)
    assert same(decode_tokens(encode_tokens(KEY, page), KEY), page)


@given(hnp.arrays(np.uint16, (16, 32), elements=st.integers(0, 0xFFFF)))
def test_lossless_restores_any_bits(bits: np.ndarray) -> None:
    """Infinities, NaN and negative zero included."""
    page = replace(tokens(tiles=0), global_view=bits, tiles=np.zeros((0, 0, 32), np.uint16))
    assert same(decode_tokens(encode_tokens(KEY, page)), page)


@pytest.mark.parametrize(("codec", "error", "size"), [("int8", 0.01, 0.6), ("int4", 0.12, 0.35)])
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_smaller_codecs_lose_little(codec: Codec, error: float, size: float, dtype: str) -> None:
    """The error is relative to the root mean square of the page, the size to bfloat16."""
    page = replace(tokens(dtype), global_view=tokens(dtype).global_view)
    data = encode_tokens(KEY, page, codec)
    found = decode_tokens(data, KEY)
    for one, two in ((page.global_view, found.global_view), (page.tiles, found.tiles)):
        exact, near = float32_values(one), float32_values(two)
        assert np.sqrt(np.mean((exact - near) ** 2)) < error * np.sqrt(np.mean(exact**2))
        assert two.dtype == one.dtype
    numbers = page.global_view.size + page.tiles.size
    assert len(data) - 1500 < size * 2 * numbers


@pytest.mark.parametrize("codec", CODECS)
def test_a_page_of_zeros_stays_zero(codec: Codec) -> None:
    """A zero scale is never a divisor."""
    empty = np.zeros((16, 40), np.float32)
    page = replace(tokens("float32", 0), global_view=empty, tiles=np.zeros((0, 0, 40), np.float32))
    assert not decode_tokens(encode_tokens(KEY, page, codec)).global_view.any()


@pytest.mark.parametrize("field", ["page", "profile", "mode", "weights", "preprocessing"])
def test_a_file_with_another_key_is_refused(field: str) -> None:
    """Its name and its header both differ."""
    other = replace(KEY, **{field: "other"})
    assert other.digest != KEY.digest
    with pytest.raises(CacheCorrupt, match="has the key"):
        decode_tokens(encode_tokens(KEY, tokens()), other)


@given(st.data())
def test_any_changed_byte_is_detected(data: st.DataObject) -> None:
    """It may be in the header or in the numbers."""
    whole = bytearray(encode_tokens(KEY, tokens()))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    try:
        found = decode_tokens(bytes(whole), KEY)
    except CacheCorrupt:
        return
    assert same(found, tokens())  # the byte was padding of the header


@given(st.integers(0, 5000))
def test_a_truncated_file_is_detected(length: int) -> None:
    """It may end anywhere."""
    whole = encode_tokens(KEY, tokens())
    if length < len(whole):
        with pytest.raises(CacheCorrupt):
            decode_tokens(whole[:length])


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    """The error is CacheCorrupt."""
    with pytest.raises(CacheCorrupt):
        read_header(data)


def forged(by: Codec = "lossless", **changes: Any) -> bytes:
    """Make a file with a changed header and a matching checksum."""
    from opticalrag.ingest.token_cache import file as token_file

    whole = encode_tokens(KEY, tokens(), by)
    (length,) = struct.unpack_from("<Q", whole)
    header = json.loads(whole[8 : 8 + length])
    about = header.pop("__metadata__")
    about.pop("checksum")
    for name, value in changes.items():
        (about if name in about else header)[name] = value
    body = whole[8 + length :]
    header["__metadata__"] = {**about, "checksum": token_file._checksum(about, header)}
    raw = json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + body


@pytest.mark.parametrize(
    "changes",
    [
        {"shapes": '{"global_view": [1000000000, 1280], "tiles": [0, 0, 1280]}'},
        {"shapes": '{"global_view": [-16, 96], "tiles": [6, 4, 96]}'},
        {"shapes": '{"global_view": ["x"], "tiles": 7}'},
        {"shapes": "[]"},
        {"shapes": "{"},
        {"grid": "[1, 1]"},
        {"grid": '"x"'},
        {"grid": "[2.0, 3.0]"},
        {"grid": "[true, 6]"},
        {"codec": "pickle"},
        {"dtype": "float64"},
        {"format": "other/1"},
        {"model": 7},
        {"global_view.plane1": {"dtype": "U8", "shape": [10**12], "data_offsets": [0, 10**12]}},
        {"global_view.plane1": {"dtype": "U8", "shape": [8], "data_offsets": [-8, 0]}},
        {"global_view.plane1": {"dtype": "O", "shape": [8], "data_offsets": [0, 8]}},
        {"global_view.plane1": 7},
    ],
)
def test_a_crafted_file_is_refused(changes: dict[str, Any]) -> None:
    """Huge or negative shapes, other numbers, other formats; nothing large is allocated."""
    with pytest.raises(CacheCorrupt):
        decode_tokens(forged(**changes))


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(
    "shapes",
    [
        '{"global_view": [], "tiles": [6, 4, 96]}',
        '{"global_view": [16, 96], "tiles": []}',
        '{"global_view": [16, 96], "tiles": {"0": 1}}',
        '{"global_view": [16, 96], "tiles": [0, 0, 1000000000000000000000000000000]}',
        '{"global_view": [1536], "tiles": [6, 4, 96]}',
    ],
)
def test_invalid_shapes_are_refused(codec: Codec, shapes: str) -> None:
    """Every codec refuses them."""
    with pytest.raises(CacheCorrupt):
        decode_tokens(forged(codec, shapes=shapes))


def test_a_small_file_cannot_unpack_to_a_huge_page() -> None:
    """Zeros compress to nothing; a view has at most 1,156 x 1,280 numbers."""
    views = {
        "global_view": np.zeros((34**2, 1280), np.uint16),
        "tiles": np.zeros((0, 0, 1280), np.uint16),
    }
    page = replace(tokens(tiles=0), **views)
    assert decode_tokens(encode_tokens(KEY, page)).count == 1156
    huge = np.zeros((64**2, 1280), np.uint16)
    with pytest.raises(CacheCorrupt, match="shape"):
        decode_tokens(encode_tokens(KEY, replace(page, global_view=huge)))


def test_a_compressed_bomb_is_refused() -> None:
    """A plane that would unpack to more than its page holds."""
    bomb = zstandard.ZstdCompressor(write_checksum=True).compress(bytes(1 << 28))
    with pytest.raises(ValueError, match="268435456 bytes, not 64"):
        unpack_values({"plane0": bomb, "plane1": bomb}, "lossless", (64,), "bfloat16")
