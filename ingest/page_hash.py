"""What a page of a PDF is made of, as a hash: equal hashes are read alike, whatever the file.

The hash is over the page's own objects: its dictionary, what it inherits, and everything these lead
to (content, fonts, pictures, annotations), by structure and not by object numbers, which every
program that saves a file may change; and over its entries in the outline, which name headings. A
drawing would not do: text can be invisible, and a point and a comma look alike when small. What a
program changes without need (compression, merged fonts) costs a page its hash and a second parse,
never a wrong reuse.

Pages that share what is not their own (the fields of a form), or lead to too much, are named by
the file's bytes and their number: found again in the same file, and nowhere else.
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from typing import Any, Final

import pymupdf

__all__ = ["PageHasher", "hash_of_place"]

_INHERITED: Final = ("Resources", "MediaBox", "CropBox", "Rotate")
_DEEPEST: Final = 64  # levels of the page tree
_MOST_OBJECTS: Final = 10_000  # of one page
_MOST_BYTES: Final = 512 * 1024**2  # of one page's streams, as they are stored
_REMEMBERED: Final = 2_000  # objects: those that pages share are met again soon

# Ways out of the page, and numbers that move when other pages do.
_ASIDE: Final = re.compile(
    r"/(?:Parent|P|Popup|IRT|Metadata|PieceInfo|Thumb|B|StructParents?)\b\s*\d+(?: \d+ R)?"
    r"|/LastModified\s*\([^()]*\)"
)
# Strings are matched first: what looks like a reference inside one is text.
_REFERENCE: Final = re.compile(r"\((?:\\.|[^\\()])*\)|(?<![\w.])(\d{1,10}) \d{1,5} R\b", re.S)
_OUTSIDE: Final = re.compile(r"/Type\s*/(?:Pages?|Catalog|StructTreeRoot|StructElem)\b")

_ERRORS: Final = (RuntimeError, ValueError, TypeError, IndexError, pymupdf.mupdf.FzErrorBase)


def hash_of_place(sha256: str, index: int) -> str:
    """The hash of a page (0-based) that is known by its file's bytes and its number only."""
    return f"file:{sha256}:{index}"


class PageHasher:
    """Hashes pages of one opened document.

    Args:
        document: a PyMuPDF document.
        sha256: of its file.
    """

    def __init__(self, document: Any, sha256: str) -> None:
        self._document = document
        self._sha256 = sha256
        self._objects: dict[int, tuple[str, bytes]] = {}
        self._common = ""
        self._outline: dict[int, list[tuple[int, str]]] = {}
        try:
            self._trusted = document.is_pdf and not document.is_form_pdf
            layers = document.xref_get_key(document.pdf_catalog(), "OCProperties")
            self._common = layers[1] if layers[0] != "null" else ""
            for level, title, number, *_ in document.get_toc(simple=True):
                self._outline.setdefault(number - 1, []).append((level, title))
        except _ERRORS:
            self._trusted = False

    def hash(self, index: int) -> str:
        """The hash of a page (0-based)."""
        try:
            found = self._walked(index) if self._trusted else None
        except _ERRORS:
            found = None
        return found or hash_of_place(self._sha256, index)

    def _walked(self, index: int) -> str | None:
        """None if it leads to too much."""
        digest = hashlib.sha256(repr(self._outline.get(index)).encode("utf-8", "surrogatepass"))
        found = _Found()
        for text in self._roots(self._document.page_xref(index)):
            digest.update(found.numbered(text))
        size = 0
        while found.left:
            text, stream = self._object(found.left.popleft())
            size += len(text) + int.from_bytes(stream[32:], "big")
            if len(found.order) > _MOST_OBJECTS or size > _MOST_BYTES:
                return None
            if not _OUTSIDE.search(text):
                digest.update(found.numbered(text))
                digest.update(stream)
        return digest.hexdigest()

    def _roots(self, page: int) -> list[str]:
        """The page's dictionary and what it inherits or the whole document has."""
        texts = [self._document.xref_object(page, compressed=True), self._common]
        for key in _INHERITED:
            xref = page
            for _ in range(_DEEPEST):
                kind, value = self._document.xref_get_key(xref, key)
                if kind != "null":
                    texts.append(value)
                    break
                kind, parent = self._document.xref_get_key(xref, "Parent")
                if kind != "xref":
                    break
                xref = int(parent.split()[0])
        return texts

    def _object(self, xref: int) -> tuple[str, bytes]:
        """An object's text, and the hash and length of its stream, if it has one."""
        found = self._objects.get(xref)
        if found is None:
            if len(self._objects) >= _REMEMBERED:
                self._objects.clear()
            found = self._objects[xref] = self._read(xref)
        return found

    def _read(self, xref: int) -> tuple[str, bytes]:
        if not 0 < xref < self._document.xref_length():
            return "null", b""
        text = self._document.xref_object(xref, compressed=True)
        if not self._document.xref_is_stream(xref):
            return text, b""
        stream = self._document.xref_stream_raw(xref) or b""
        return text, hashlib.sha256(stream).digest() + len(stream).to_bytes(8, "big")


class _Found:
    """Objects in the order they are met, and those not looked at yet."""

    def __init__(self) -> None:
        self.order: dict[int, int] = {}
        self.left: deque[int] = deque()

    def numbered(self, text: str) -> bytes:
        """An object's text with references as places in that order."""
        plain = _REFERENCE.sub(self._number, _ASIDE.sub("", text))
        return plain.encode("utf-8", "surrogatepass") + b"\0"

    def _number(self, match: re.Match[str]) -> str:
        if match[1] is None:  # a string
            return match[0]
        xref = int(match[1])
        if xref not in self.order:
            self.order[xref] = len(self.order)
            self.left.append(xref)
        return f"{self.order[xref]} R"
