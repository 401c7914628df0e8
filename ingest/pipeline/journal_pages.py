"""Packs a page's Markdown and layout into bytes for the journal, and unpacks them. Pure."""

from __future__ import annotations

import json
from typing import Final

import zstandard

from ..markdown.render import PageMarkdown

__all__ = ["pack_page", "unpack_page"]

_MOST_BYTES: Final = 64 * 1024**2  # unpacked; a full page has a few thousand


def pack_page(page: PageMarkdown) -> bytes:
    """Pack a page as compressed JSON with a checksum."""
    # ASCII: lone surrogates from broken encodings have no UTF-8 form.
    text = json.dumps([page.text, page.layout()], separators=(",", ":"))
    return zstandard.ZstdCompressor(level=3, write_checksum=True).compress(text.encode())


def unpack_page(packed: bytes) -> PageMarkdown:
    """Unpack a page.

    Raises:
        ValueError: the bytes are not a packed page.
    """
    try:
        raw = zstandard.ZstdDecompressor().decompress(packed, max_output_size=_MOST_BYTES)
        text, layout = json.loads(raw)
        page = PageMarkdown.from_layout(text, layout)
        page.text.encode("utf-8", "surrogatepass")
        strings = [*layout["furniture"], *layout["flags"], layout["engine"], layout["label"]]
    except (zstandard.ZstdError, RecursionError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{len(packed)} bytes are not a packed page: {error}") from error
    if not all(isinstance(one, str) for one in strings):
        raise ValueError("a packed page's flags, furniture, engine or label are not text")
    return page
