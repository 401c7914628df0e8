"""Hashes a page of a PDF by its content: pages with equal hashes parse alike, in any file.

The hash covers the page's dictionary, the entries it inherits, and every object these refer to:
content, fonts, pictures, annotations, and the replacement texts of tags. It follows the structure
of references and ignores object numbers, which change when a program saves the file. It also
covers the page's entries in the outline, which name headings.

A hash of the rendered page would not suffice: text can be invisible, and a small point looks like
a comma. If a program rewrites a page without need (compression, merged fonts), the page gets
another hash and is parsed again. It is never reused wrongly.

The hash omits only entries that are never drawn, and only in the dictionaries of the page and its
annotations, where their keys have that meaning. In other dictionaries a key may be a name that
the content uses. The targets of links are omitted, too: no engine reads them.

Some pages are hashed by the file's bytes and their position, so they match only in the same file:
pages of documents with forms, because pages share the fields; pages with too many objects; and
pages that this module cannot parse with certainty.
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
"""Entries of the document: layers, meaning of colours, fields and their default appearance."""
_MAX_DEPTH: Final = 64  # of the page tree
_MAX_OBJECTS: Final = 10_000  # of one page
_MAX_BYTES: Final = 512 * 1024**2  # of the streams of one page, as stored
_CACHED_OBJECTS: Final = 2_000  # neighbouring pages share objects

# References out of the page, numbers that depend on other pages, and data of other programs.
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
    """Return the hash of a page that is identified by its file's hash and its position, 0-based."""
    return f"file:{sha256}:{index}"


@dataclass(frozen=True, slots=True)
class _Object:
    """A parsed PDF object."""

    texts: tuple[str, ...]  # split at its references
    references: tuple[int, ...]  # the object numbers between the texts
    stream: bytes = b""  # hash of its stream
    stream_bytes: int = 0
    tags: int | None = None  # key of its marked content in the structure tree

    @classmethod
    def of(cls, written: Sequence[str], stream: bytes | None = None) -> _Object:
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
    """Hashes the pages of a PyMuPDF document, whose file has the hash ``sha256``."""

    def __init__(self, document: Any, sha256: str) -> None:
        self._document = document
        self._sha256 = sha256
        self._objects: dict[int, _Object] = {}
        self._shared: list[_Object] = []  # entries of the whole document
        self._outline: dict[int, list[tuple[int, str]]] = {}
        try:
            self._hashable = document.is_pdf and not document.is_form_pdf
            catalog = document.pdf_catalog()
            for key in _COMMON:
                self._shared.append(self._value(key, *document.xref_get_key(catalog, key)))
            for level, title, number, *_ in document.get_toc(simple=True):
                self._outline.setdefault(number - 1, []).append((level, title))
        except MUPDF_ERRORS:
            self._hashable = False

    def hash(self, index: int) -> str:
        """Return the hash of a page (0-based)."""
        try:
            found = self._content_hash(index) if self._hashable else None
        except MUPDF_ERRORS:
            found = None
        return found or hash_of_position(self._sha256, index)

    def _content_hash(self, index: int) -> str | None:
        """The hash of a page's content, or None if it has too many objects or bytes."""
        walk = _Walk(repr(self._outline.get(index)))
        for root in self._roots(self._document.page_xref(index)):
            walk.add(root)
        while walk.pending:
            if len(walk.order) > _MAX_OBJECTS or walk.size > _MAX_BYTES:
                return None
            found = self._object(walk.pending.popleft())
            walk.add(found)
            for element in self._structure_elements(found.tags):
                walk.add(element)
        return walk.digest.hexdigest()

    def _roots(self, page: int) -> Iterator[_Object]:
        """Yield the page, the entries it inherits, those of the document, and its annotations."""
        entries = dictionary(self._tokens(page))
        annotations = self._annotations(entries.pop("/Annots", ["null"]))
        yield _Object.of(_without(entries, _NOT_DRAWN))
        yield from (self._inherited(page, key) for key in _INHERITED)
        yield from self._shared
        yield from self._structure_elements(_tags(entries))
        for entries in annotations:
            yield _Object.of(_without(entries, _NOT_DRAWN_OF_ANNOTATIONS))

    def _annotations(self, value: Sequence[str]) -> list[dict[str, list[str]]]:
        listed = self._resolved(value)
        if listed == ["null"]:
            return []
        values = elements(listed)
        if len(values) > _MAX_OBJECTS:
            raise ValueError(f"a page has {len(values)} annotations")
        found = [one for one in map(self._resolved, values) if one != ["null"]]
        return [*map(_annotation, found)]

    def _inherited(self, page: int, key: str) -> _Object:
        xref = page
        for _ in range(_MAX_DEPTH):
            kind, value = self._document.xref_get_key(xref, key)
            if kind != "null":
                return self._value(key, kind, value)
            kind, parent = self._document.xref_get_key(xref, "Parent")
            if kind == "null":
                return self._value(key, kind, "null")
            if kind != "xref":
                break
            xref = int(parent.split()[0])
        raise ValueError("the page tree is too deep, or its parents are not references")

    def _value(self, key: str, kind: str, value: str) -> _Object:
        # PyMuPDF decodes strings, so different ones may look alike.
        if kind == "string":
            raise ValueError(f"{key} is a string")
        return _Object.of([f"/{key}", *tokens(value)])

    def _structure_elements(self, tags: int | None) -> Iterator[_Object]:
        if tags is None:
            return
        trailer = mupdf.pdf_trailer(mupdf.pdf_document_from_fz_document(self._document.this))
        tree = mupdf.pdf_dict_getp(trailer, "Root/StructTreeRoot/ParentTree")
        array = mupdf.pdf_lookup_number(tree, tags)
        for position in range(mupdf.pdf_array_len(array)):
            element = mupdf.pdf_array_get(array, position)
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
            if len(self._objects) >= _CACHED_OBJECTS:
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
        """The tokens of a value, or of the object it refers to."""
        number = reference(value[0])
        return value if number is None else self._tokens(number)


def _tags(entries: dict[str, list[str]]) -> int | None:
    value = entries.get("/StructParents")
    return int(" ".join(value)) if value else None


def _annotation(written: Sequence[str]) -> dict[str, list[str]]:
    entries = dictionary(written)
    subtype = entries.get("/Subtype", ["null"])[0]
    if subtype == "/Popup":  # never drawn; its parent is the annotation that it belongs to
        entries.pop("/Parent", None)
    if subtype == "/Widget" or "/Parent" in entries or reference(subtype) is not None:
        raise ValueError("an annotation is or may be a form field")
    return entries


def _without(entries: dict[str, list[str]], keys: Collection[str]) -> list[str]:
    kept = ((key, *value) for key, value in entries.items() if key not in keys)
    return ["<<", *(token for entry in kept for token in entry), ">>"]


class _Walk:
    """A walk over the objects of a page, with their order, the pending ones, and the hash."""

    def __init__(self, prefix: str) -> None:
        self.digest = hashlib.sha256(prefix.encode("utf-8", "surrogatepass"))
        self.order: dict[int, int] = {}
        self.pending: deque[int] = deque()
        self.size = 0

    def add(self, found: _Object) -> None:
        """Hash an object, with its references renumbered in the order of the walk."""
        numbers = (f" {self._position(xref)} R " for xref in found.references)
        text = found.texts[0] + "".join(map("".join, zip(numbers, found.texts[1:], strict=True)))
        self.digest.update(text.encode("utf-8", "surrogatepass") + b"\0" + found.stream)
        self.size += len(text) + found.stream_bytes

    def _position(self, xref: int) -> int:
        if xref not in self.order:
            self.order[xref] = len(self.order)
            self.pending.append(xref)
        return self.order[xref]
