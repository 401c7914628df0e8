"""LlamaIndex Documents as pages of files: those of our reader, and of any other.

Our reader says where each block stands, and so do the markers in DeepSeek-OCR's raw output. Of
other readers, the Documents of one file are its pages if their metadata tell which; all else
stands alone.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from llama_index.core.schema import BaseNode

from .grounding import parse_transcript
from .identity import document_id
from .markdown import PageMarkdown, render_page
from .scanning import scan_markdown
from .schema import Field
from .types import DocumentRef, PageRef, ParsedPage

__all__ = ["LAYOUT_KEY", "by_file", "document_of", "pages_of"]

LAYOUT_KEY: Final = "layout"
"""Metadata key under which the reader keeps where each block stands."""

_NUMBER_KEYS: Final = ("page", "page_number", "page_label", "source")
"""Where readers put the page's number: PyMuPDF4LLM, Unstructured, PDFReader, PyMuPDFReader."""
_URI_KEYS: Final = (Field.FILE_PATH, "url", "URL", "source")
"""Where readers put the file or web page."""
_BOX_MARKER: Final = "<|det|>"
_MOST_PAGES: Final = 1_000_000


def by_file(nodes: Sequence[BaseNode]) -> Iterator[list[BaseNode]]:
    """Group page Documents of the same file; others stay alone, in the order given."""
    pages = Counter((_file(node), _number(node)) for node in nodes)
    order: dict[str, int] = {}

    def key(node: BaseNode) -> str:
        file, number = _file(node), _number(node)
        # Two Documents of one page are parts of it, whose order nobody tells.
        whole = file and number is not None and pages[file, number] == 1
        return f"file {file}" if whole else f"node {node.node_id}"

    for node in nodes:
        order.setdefault(key(node), len(order))
    ranked = sorted(nodes, key=lambda node: order[key(node)])
    for _, group in groupby(ranked, key=key):
        yield list(group)


def pages_of(members: Sequence[BaseNode]) -> Iterator[tuple[PageMarkdown, BaseNode]]:
    """The pages of a file and the Document each was read from."""
    for place, node in enumerate(members):
        yield _page(node, place), node


def document_of(members: Sequence[BaseNode], pages: Sequence[PageMarkdown]) -> DocumentRef:
    """The file that Documents are the pages of."""
    first = members[0].metadata
    text = "\f".join(page.text for page in pages).encode("utf-8", "surrogatepass")
    sha = str(first.get(Field.FILE_SHA256) or hashlib.sha256(text).hexdigest())
    uri = _uri(members[0])
    place = uri
    if not uri or not (_number(members[0]) or first.get(Field.PAGE_LABEL)):
        # Parts of a file without a page have one path and random ids: only their text tells
        # them apart and stays the same from run to run.
        place = f"{uri}\n{pages[0].label}\n{sha}"
    return DocumentRef(
        id=str(first.get(Field.FILE_ID) or document_id(place, sha)),
        sha256=sha,
        name=str(first.get(Field.FILE_NAME) or ""),
        uri=uri,
        page_count=len(pages),
    )


def _page(node: BaseNode, place: int) -> PageMarkdown:
    text = node.get_content()
    number = _number(node)
    index = place if number is None else number - 1
    layout = node.metadata.get(LAYOUT_KEY)
    if isinstance(layout, Mapping):
        try:
            return PageMarkdown.from_layout(text, layout)
        except (KeyError, ValueError, TypeError):
            pass  # another transformation changed the text; read it as it is now
    label = str(node.metadata.get(Field.PAGE_LABEL) or index + 1)
    if _BOX_MARKER in text:
        return _transcribed(text, index, label)
    return scan_markdown(text, index=index, label=label)


def _transcribed(text: str, index: int, label: str) -> PageMarkdown:
    """What DeepSeek-OCR wrote, as servers hand it on: its markers become boxes."""
    page = PageRef(DocumentRef("", "", "", "", 1), index, label)
    return render_page(ParsedPage(page, 1.0, 1.0, parse_transcript(text), engine="deepseek-ocr"))


def _file(node: BaseNode) -> str:
    metadata = node.metadata
    return str(metadata.get(Field.FILE_ID) or _uri(node) or metadata.get(Field.FILE_NAME) or "")


def _uri(node: BaseNode) -> str:
    """Where a Document was read from, as far as it says so."""
    values = (node.metadata.get(key) for key in _URI_KEYS)
    return next((v for v in values if v and isinstance(v, str) and not v.isdecimal()), "")


def _number(node: BaseNode) -> int | None:
    """The 1-based page a Document says it is, or None."""
    layout = node.metadata.get(LAYOUT_KEY)
    if isinstance(layout, Mapping) and isinstance(layout.get("index"), int):
        return int(layout["index"]) + 1
    for key in _NUMBER_KEYS:
        value: Any = node.metadata.get(key)
        if isinstance(value, bool) or value is None:
            continue
        if str(value).isdecimal() and 1 <= len(str(value)) <= 7 and 1 <= int(value) <= _MOST_PAGES:
            return int(value)
    return None
