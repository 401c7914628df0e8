"""What a page of a PDF is made of, as a hash: equal hashes are read alike, whatever the file.

The hash is over the page's own objects: its dictionary, what it inherits, and everything these lead
to (content, fonts, pictures, annotations, the texts that tags put in place of others), by structure
and not by object numbers, which every program that saves a file may change; and over its entries in
the outline, which name headings. A drawing would not do: text can be invisible, and a point and a
comma look alike when small. What a program changes without need (compression, merged fonts) costs a
page its hash and a second parse, never a wrong reuse.

Left out is only what is never drawn, and there alone where its key has that meaning: in the page's
own dictionary and those of its annotations. In all others a key may be a name that content uses.
Where links lead is left out with it: no engine reads it.

Pages with fields of a form, which they share, and those that lead to too much or are not surely
understood, are named by the file's bytes and their number: found again in the same file, and
nowhere else.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pymupdf import mupdf

from .opening import MUPDF_ERRORS
from .pdf_objects import dictionary, elements, reference, tokens

__all__ = ["PageHasher", "hash_of_position"]

_INHERITED: Final = ("Resources", "MediaBox", "CropBox", "Rotate")
_COMMON: Final = ("OCProperties", "OutputIntents", "AcroForm")
"""Of the document: layers, what colours mean, and how notes without an appearance are drawn."""
_DEEPEST: Final = 64  # levels of the page tree
_MOST_OBJECTS: Final = 10_000  # of one page
_MOST_BYTES: Final = 512 * 1024**2  # of one page's streams, as they are stored
_REMEMBERED: Final = 2_000  # objects: those that pages share are met again soon

# Ways out of the page, numbers that move when other pages do, and notes of other programs.
_NOT_DRAWN: Final = frozenset(
    {
        *("/Parent", "/AA", "/SeparationInfo", "/B", "/StructParents"),
        *("/Thumb", "/Metadata", "/PieceInfo", "/LastModified"),
    }
)
_NOT_DRAWN_OF_ANNOTATIONS: Final = frozenset(
    {"/P", "/Popup", "/IRT", "/Dest", "/A", "/AA", "/PA", "/StructParent"}
)
_NOT_DRAWN_OF_STRUCTURE: Final = frozenset({"/P", "/K", "/Pg", "/Ref"})


def hash_of_position(sha256: str, index: int) -> str:
    """The hash of a page (0-based) that is known by its file's bytes and its number only."""
    return f"file:{sha256}:{index}"


@dataclass(frozen=True, slots=True)
class _Object:
    """An object's text, cut at its references, and the hash and size of its stream, if any.

    ``tags`` is where the structure tree has what its marked content means.
    """

    texts: tuple[str, ...]
    references: tuple[int, ...]
    stream: bytes = b""
    stream_bytes: int = 0
    tags: int | None = None

    @classmethod
    def of(cls, written: Sequence[str], stream: bytes | None = None) -> _Object:
        """Read tokens."""
        texts: list[list[str]] = [[]]
        references: list[int] = []
        for token in written:
            number = reference(token)
            if number is None:
                texts[-1].append(token)
            else:
                references.append(number)
                texts.append([])
        joined = tuple(" ".join(part) for part in texts)
        if stream is None:
            return cls(joined, tuple(references))
        hashed = hashlib.sha256(stream).digest()
        tags = _tags(dictionary(written)) if "/StructParents" in written else None
        return cls(joined, tuple(references), b"stream" + hashed, len(stream), tags)


class PageHasher:
    """Hashes pages of one opened document.

    Args:
        document: a PyMuPDF document.
        sha256: of its file.
    """

    def __init__(self, document: Any, sha256: str) -> None:
        self._document = document
        self._sha256 = sha256
        self._objects: dict[int, _Object] = {}
        self._common: list[_Object] = []
        self._outline: dict[int, list[tuple[int, str]]] = {}
        try:
            self._trusted = document.is_pdf and not document.is_form_pdf
            catalog = document.pdf_catalog()
            for key in _COMMON:
                self._common.append(self._value(key, *document.xref_get_key(catalog, key)))
            for level, title, number, *_ in document.get_toc(simple=True):
                self._outline.setdefault(number - 1, []).append((level, title))
        except MUPDF_ERRORS:
            self._trusted = False

    def hash(self, index: int) -> str:
        """The hash of a page (0-based)."""
        try:
            found = self._walked(index) if self._trusted else None
        except MUPDF_ERRORS:
            found = None
        return found or hash_of_position(self._sha256, index)

    def _walked(self, index: int) -> str | None:
        """None if it leads to too much."""
        walk = _Walk(repr(self._outline.get(index)))
        for root in self._roots(self._document.page_xref(index)):
            walk.add(root)
        while walk.left:
            if len(walk.order) > _MOST_OBJECTS or walk.size > _MOST_BYTES:
                return None
            found = self._object(walk.left.popleft())
            walk.add(found)
            for element in self._elements(found.tags):
                walk.add(element)
        return walk.digest.hexdigest()

    def _roots(self, page: int) -> Iterator[_Object]:
        """The page, its annotations, and what it inherits or the whole document has."""
        entries = dictionary(self._tokens(page))
        annotations = self._annotations(entries.pop("/Annots", ["null"]))
        yield _Object.of(_without(entries, _NOT_DRAWN))
        yield from (self._inherited(page, key) for key in _INHERITED)
        yield from self._common
        yield from self._elements(_tags(entries))
        for entries in annotations:
            yield _Object.of(_without(entries, _NOT_DRAWN_OF_ANNOTATIONS))

    def _annotations(self, value: Sequence[str]) -> list[dict[str, list[str]]]:
        listed = self._resolved(value)
        if listed == ["null"]:
            return []
        values = elements(listed)
        if len(values) > _MOST_OBJECTS:
            raise ValueError(f"a page has {len(values)} annotations")
        found = [one for one in map(self._resolved, values) if one != ["null"]]
        return [_annotation(one) for one in found]

    def _inherited(self, page: int, key: str) -> _Object:
        xref = page
        for _ in range(_DEEPEST):
            kind, value = self._document.xref_get_key(xref, key)
            if kind != "null":
                return self._value(key, kind, value)
            kind, parent = self._document.xref_get_key(xref, "Parent")
            if kind == "null":
                return self._value(key, kind, "null")
            if kind != "xref":
                break
            xref = int(parent.split()[0])
        raise ValueError("the page tree is too deep, or not one of references")

    def _value(self, key: str, kind: str, value: str) -> _Object:
        # The value of a string is decoded, so that another one may look like it.
        if kind == "string":
            raise ValueError(f"{key} is a string")
        return _Object.of([f"/{key}", *tokens(value)])

    def _elements(self, tags: int | None) -> Iterator[_Object]:
        """What the structure tree says of marked content."""
        if tags is None:
            return
        path = "Root/StructTreeRoot/ParentTree"
        tree = mupdf.pdf_dict_getp(
            mupdf.pdf_trailer(mupdf.pdf_document_from_fz_document(self._document.this)), path
        )
        array = mupdf.pdf_lookup_number(tree, tags)
        for place in range(mupdf.pdf_array_len(array)):
            element = mupdf.pdf_array_get(array, place)
            number = mupdf.pdf_to_num(element)
            if not number and not mupdf.pdf_is_null(element):
                raise ValueError("an element of the structure tree has no number")
            written = self._tokens(number)
            entries = {} if written == ["null"] else dictionary(written)
            yield _Object.of(_without(entries, _NOT_DRAWN_OF_STRUCTURE))

    # -- objects -------------------------------------------------------------------------------

    def _object(self, xref: int) -> _Object:
        found = self._objects.get(xref)
        if found is None:
            if len(self._objects) >= _REMEMBERED:
                self._objects.clear()
            found = self._objects[xref] = self._read(xref)
        return found

    def _read(self, xref: int) -> _Object:
        written = self._tokens(xref)
        if written == ["null"] or not self._document.xref_is_stream(xref):
            return _Object.of(written)
        return _Object.of(written, self._document.xref_stream_raw(xref) or b"")

    def _tokens(self, xref: int) -> list[str]:
        if not 0 < xref < self._document.xref_length():
            return ["null"]
        return tokens(self._document.xref_object(xref, compressed=True))

    def _resolved(self, value: Sequence[str]) -> Sequence[str]:
        """The tokens of a value, or of the object that it refers to."""
        number = reference(value[0])
        return value if number is None else self._tokens(number)


def _tags(entries: dict[str, list[str]]) -> int | None:
    value = entries.get("/StructParents")
    return int(" ".join(value)) if value else None


def _annotation(written: Sequence[str]) -> dict[str, list[str]]:
    entries = dictionary(written)
    subtype = entries.get("/Subtype", ["null"])[0]
    if subtype == "/Popup":  # never drawn, and its parent is the annotation it belongs to
        entries.pop("/Parent", None)
    if subtype == "/Widget" or "/Parent" in entries or reference(subtype) is not None:
        raise ValueError("an annotation is, or may be, a field of a form")
    return entries


def _without(entries: dict[str, list[str]], keys: Collection[str]) -> list[str]:
    """The tokens of a dictionary that has all but these keys."""
    kept = ((key, *value) for key, value in entries.items() if key not in keys)
    return ["<<", *(token for entry in kept for token in entry), ">>"]


class _Walk:
    """Objects in the order they are met, those not looked at yet, and the hash of the others."""

    def __init__(self, beginning: str) -> None:
        self.digest = hashlib.sha256(beginning.encode("utf-8", "surrogatepass"))
        self.order: dict[int, int] = {}
        self.left: deque[int] = deque()
        self.size = 0

    def add(self, found: _Object) -> None:
        """Take an object in, with its references as places in that order."""
        numbers = (f" {self._place(xref)} R " for xref in found.references)
        text = found.texts[0] + "".join(map("".join, zip(numbers, found.texts[1:], strict=True)))
        self.digest.update(text.encode("utf-8", "surrogatepass") + b"\0" + found.stream)
        self.size += len(text) + found.stream_bytes

    def _place(self, xref: int) -> int:
        if xref not in self.order:
            self.order[xref] = len(self.order)
            self.left.append(xref)
        return self.order[xref]
