"""Makes files that break parsers: generated ones, and seeded mutations of good ones."""

from __future__ import annotations

import os
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

__all__ = ["MAKERS", "PLACES", "mutate", "pdf_of"]

_MEGABYTE: Final = 1 << 20
_PAGE: Final = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R/Resources 5 0 R>>"
_FONT: Final = b"<</Font<</F <</Type/Font/Subtype/Type1/BaseFont/Helvetica>> >> >>"
_TEXT: Final = b"BT /F 12 Tf 72 700 Td (A word of text) Tj ET"


def pdf_of(*objects: bytes, trailer: bytes = b"") -> bytes:
    """Make a PDF of these objects, numbered from 1; the first is the catalog."""
    out = bytearray(b"%PDF-1.7\n")
    places = []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer <</Size %d/Root 1 0 R%b>>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        trailer,
        start,
    )
    return bytes(out)


def _stream(data: bytes, more: bytes = b"") -> bytes:
    return b"<</Length %d%b>>\nstream\n%b\nendstream" % (len(data), more, data)


def _one_page(
    page: bytes = _PAGE,
    content: bytes | None = None,
    resources: bytes = _FONT,
    *more: bytes,
    catalog: bytes = b"",
) -> bytes:
    return pdf_of(
        b"<</Type/Catalog/Pages 2 0 R%b>>" % catalog,
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        page,
        _stream(_TEXT) if content is None else content,
        resources,
        *more,
    )


def _many_pages(count: int) -> bytes:
    pages = [b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>"] * count
    kids = b" ".join(b"%d 0 R" % (number + 3) for number in range(count))
    return pdf_of(
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[%b]/Count %d>>" % (kids, count),
        *pages,
    )


def _deflated(block: bytes, repeats: int) -> bytes:
    """Deflate a block many times over without compressing it more than once."""
    packer = zlib.compressobj(9)
    head = packer.compress(b"") + packer.flush(zlib.Z_FULL_FLUSH)
    once = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + once * repeats + packer.flush()


def _bomb(megabytes: int) -> bytes:
    data = zlib.compress(_deflated(b" " * _MEGABYTE, megabytes))
    return _stream(data, b"/Filter[/FlateDecode/FlateDecode]")


def _image_bomb(side: int) -> bytes:
    data = _deflated(bytes(_MEGABYTE), side * side * 3 // _MEGABYTE + 1)
    image = _stream(
        data,
        b"/Type/XObject/Subtype/Image/Width %d/Height %d/ColorSpace/DeviceRGB/BitsPerComponent 8"
        b"/Filter/FlateDecode" % (side, side),
    )
    return _one_page(
        _PAGE, _stream(b"600 0 0 800 0 0 cm /I Do"), b"<</XObject<</I 6 0 R>> >>", image
    )


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", _deflated(bytes(_MEGABYTE), width * height * 3 // _MEGABYTE + 1))
        + chunk(b"IEND", b"")
    )


def _self_drawing() -> bytes:
    form = _stream(b"/X Do /X Do", b"/Type/XObject/Subtype/Form/BBox[0 0 600 800]/Resources 5 0 R")
    return _one_page(_PAGE, _stream(b"/X Do"), b"<</XObject<</X 6 0 R>> >>", form)


def _laughing() -> bytes:
    """Each of thirty forms draws the next one ten times."""
    forms = [
        _stream(
            b"/X Do " * 10,
            b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X %d 0 R>> >>"
            % (n + 7),
        )
        for n in range(30)
    ]
    last = _stream(b"0 0 9 9 re f", b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]")
    return _one_page(_PAGE, _stream(b"/X Do"), b"<</XObject<</X 6 0 R>> >>", *forms, last)


def _active() -> bytes:
    """JavaScript on opening, a program to launch, and a file inside."""
    catalog = (
        b"/OpenAction<</S/JavaScript/JS(while\\(true\\){})>>/AA<</WC<</S/Launch/F(/bin/sh)>> >>"
        b"/Names<</EmbeddedFiles<</Names[(evil.exe) 6 0 R]>> >>"
    )
    spec = b"<</Type/Filespec/F(evil.exe)/EF<</F 7 0 R>> >>"
    file = _stream(b"MZ" * 999, b"/Type/EmbeddedFile")
    return _one_page(_PAGE, None, _FONT, spec, file, catalog=catalog)


def _words(count: int) -> bytes:
    lines = (
        b"1 0 0 1 5 %d Tm (%b) Tj\n" % (790 - n % 790, b"word " * 20) for n in range(count // 20)
    )
    return _one_page(_PAGE, _stream(b"BT /F 1 Tf\n" + b"".join(lines) + b"ET"))


def _sized(box: bytes) -> bytes:
    return _one_page(_PAGE.replace(b"[0 0 600 800]", box))


MAKERS: Final[dict[str, Callable[[], bytes]]] = {
    "empty.pdf": lambda: b"",
    "one_byte.pdf": lambda: b"%",
    "nul.pdf": lambda: bytes(1000),
    "text.pdf": lambda: b"This is a text, not a PDF.\n",
    "renamed.txt": _one_page,
    "header_only.pdf": lambda: b"%PDF-1.7\n",
    "zero_pages.pdf": lambda: pdf_of(
        b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[]/Count 0>>"
    ),
    "pages_100000.pdf": lambda: _many_pages(100_000),
    "claims_a_billion_pages.pdf": lambda: _one_page().replace(b"/Count 1>", b"/Count 999999999>"),
    "kids_loop.pdf": lambda: pdf_of(
        b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[2 0 R 2 0 R]/Count 2>>"
    ),
    "trailer_loop.pdf": lambda: pdf_of(b"<</Type/Catalog/Pages 1 0 R>>", trailer=b"/Prev 9"),
    "page_20000pt.pdf": lambda: _sized(b"[0 0 20000 20000]"),
    "page_without_end.pdf": lambda: _sized(b"[0 0 1e38 1e38]"),
    "page_without_area.pdf": lambda: _sized(b"[0 0 0 0]"),
    "page_inside_out.pdf": lambda: _sized(b"[600 800 -600 -800]"),
    "bomb_content.pdf": lambda: _one_page(_PAGE, _bomb(4000)),
    "bomb_picture.pdf": lambda: _image_bomb(30_000),
    "bomb.png": lambda: _png(40_000, 40_000),
    "draws_itself.pdf": _self_drawing,
    "draws_10e30_times.pdf": _laughing,
    "active.pdf": _active,
    "nested_arrays.pdf": lambda: _one_page(_PAGE, _stream(b"[" * 1_000_000)),
    "nested_states.pdf": lambda: _one_page(_PAGE, _stream(b"q " * 1_000_000)),
    "nested_objects.pdf": lambda: _one_page(_PAGE, None, b"[" * 500_000),
    "words_200000.pdf": lambda: _words(200_000),
}
"""The content of each file, by name."""


def _odd_name(folder: Path) -> Path:
    path = folder / "\u202egnp.\u0301\U0001f9ff\nx'\"<b>.pdf"
    path.write_bytes(_one_page())
    return path


def _undecodable(folder: Path) -> Path:
    path = Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9\xff.pdf"))
    path.write_bytes(_one_page())
    return path


def _pipe(folder: Path) -> Path:
    path = folder / "pipe.pdf"
    os.mkfifo(path)
    return path


def _link(name: str, target: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / name
        path.symlink_to(target)
        return path

    return make


def _folder(folder: Path) -> Path:
    path = folder / "folder.pdf"
    path.mkdir()
    return path


PLACES: Final[dict[str, Callable[[Path], Path]]] = {
    "odd name": _odd_name,
    "name that is no UTF-8": _undecodable,
    "FIFO": _pipe,
    "device": _link("device.pdf", "/dev/zero"),
    "terminal": _link("terminal.pdf", "/dev/tty"),
    "link to itself": _link("loop.pdf", "loop.pdf"),
    "link to nothing": _link("dangling.pdf", "nowhere.pdf"),
    "folder": _folder,
    "NUL in the name": lambda folder: folder / "a\0b.pdf",
    "name too long": lambda folder: folder / ("a" * 5000 + ".pdf"),
}
"""Make entries in a folder that are not regular files, or have odd names."""


def mutate(good: bytes, chance: random.Random) -> bytes:
    """Damage a file: flip bytes, truncate it, or copy one part over another."""
    data = bytearray(good)
    kind = chance.choice(("flip", "flip", "truncate", "splice", "swap"))
    if kind == "flip":
        for _ in range(chance.choice((1, 10, 100, 1000))):
            data[chance.randrange(len(data))] = chance.randrange(256)
    elif kind == "truncate":
        del data[chance.randrange(1, len(data)) :]
    elif kind == "splice":
        size = min(chance.choice((10, 1000, 50_000)), len(data) // 2)
        source, target = (chance.randrange(len(data) - size) for _ in range(2))
        data[target : target + size] = data[source : source + size]
    else:
        for old in _numbers(bytes(data), chance):
            new = b"%d" % chance.choice((-1, 0, 1, 2, 7, 255, 65536, 2**31, 2**63))
            data[old : old + len(new)] = new
    return bytes(data)


def _numbers(data: bytes, chance: random.Random) -> Iterator[int]:
    """Find the numbers in dictionaries: references, lengths, counts."""
    places = [i for i, byte in enumerate(data[:200_000]) if 48 <= byte <= 57]
    yield from chance.sample(places, min(20, len(places)))
