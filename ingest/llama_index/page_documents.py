"""LlamaIndex Documents as pages of files: from our reader and from others.

Our reader's metadata locate each block, and so do the markers in DeepSeek-OCR's raw output.
Documents from other readers are pages of one file if their metadata name the file and the page;
any other Document is a document of its own.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from llama_index.core.schema import BaseNode

from ..core.identity import document_id
from ..core.records import BlockKind, DocumentRef, PageRef, ParsedPage
from ..core.schema import Field
from ..engines.deepseek_ocr.grounding.dialects import as_written, split_pages
from ..engines.deepseek_ocr.grounding.transcript import parse_transcript
from ..markdown.parse import parse_markdown
from ..markdown.render import PageMarkdown, page_markdown

__all__ = ["LAYOUT_KEY", "PageDocument", "by_file", "document_of", "pages_of"]

LAYOUT_KEY: Final = "layout"
"""Metadata key of the page layout that our reader records: where each block is."""

_NUMBER_KEYS: Final = ("page", "page_number", Field.PAGE_LABEL, "source")
"""Metadata keys of the page number: PyMuPDF4LLM, Unstructured, PDFReader, PyMuPDFReader."""
_URI_KEYS: Final = (Field.FILE_PATH, "url", "URL", "source")
"""Metadata keys of the file or web page."""
_MARKER: Final = re.compile(r"<\|ref\|>[^<>\n]{1,200}<\|/ref\|>\s*<\|det\|>\s*\[")
_MOST_PAGES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class PageDocument:
    """A Document and its 1-based page number; None if its metadata have none."""

    node: BaseNode
    number: int | None


def by_file(nodes: Sequence[BaseNode]) -> Iterator[list[PageDocument]]:
    """Group the pages of each file; keep other Documents alone and all in the order given."""
    documents = _numbered(nodes)
    pages = Counter((_file(d.node), d.number) for d in documents)
    order: dict[str, int] = {}

    def key(document: PageDocument) -> str:
        file = _file(document.node)
        # Two Documents with the same page number are parts of the page in an unknown order.
        whole = file and document.number is not None and pages[file, document.number] == 1
        return f"file {file}" if whole else f"node {document.node.node_id}"

    for document in documents:
        order.setdefault(key(document), len(order))
    ranked = sorted(documents, key=lambda document: order[key(document)])
    for _, group in groupby(ranked, key=key):
        yield list(group)


def document_of(members: Sequence[PageDocument], pages: Sequence[PageMarkdown]) -> DocumentRef:
    """Identify the file whose pages the Documents are."""
    first = members[0].node.metadata
    text = "\f".join(page.text for page in pages).encode("utf-8", "surrogatepass")
    sha = str(first.get(Field.FILE_SHA256) or hashlib.sha256(text).hexdigest())
    uri = _uri(members[0].node)
    location = uri
    if not uri or not (members[0].number or first.get(Field.PAGE_LABEL)):
        # Parts of a file without page numbers have the same path and random ids. Only their text
        # tells them apart and stays the same from run to run.
        location = f"{uri}\n{pages[0].label}\n{sha}"
    return DocumentRef(
        id=str(first.get(Field.FILE_ID) or document_id(location, sha)),
        sha256=sha,
        name=str(first.get(Field.FILE_NAME) or ""),
        uri=uri,
        page_count=len(pages),
    )


def pages_of(document: PageDocument, *, alone: bool = False) -> list[PageMarkdown]:
    """Read a Document as a page: by its layout, else its markers, else its Markdown.

    A Document that is ``alone`` in its file may be several pages: the published script for
    DeepSeek-OCR writes those of a PDF into one text.
    """
    text = document.node.get_content()
    index = (document.number or 1) - 1
    layout = document.node.metadata.get(LAYOUT_KEY)
    if isinstance(layout, Mapping):
        try:
            return [PageMarkdown.from_layout(text, layout)]
        except (KeyError, ValueError, TypeError):
            pass  # another transformation changed the text: read it as it is now
    label = str(document.node.metadata.get(Field.PAGE_LABEL) or index + 1)
    parts = split_pages(text)
    if not alone:
        parts = ["\n\n".join(parts)] if len(parts) > 1 else parts
    return [
        _page(part, index + number, label if not number else str(index + number + 1))
        for number, part in enumerate(parts)
    ]


def _page(text: str, index: int, label: str) -> PageMarkdown:
    written = as_written(text)
    page = parse_markdown(written, index=index, label=label)
    if _is_transcript(page):
        return _transcribed(page)
    return page if written == text else parse_markdown(text, index=index, label=label)


def _is_transcript(page: PageMarkdown) -> bool:
    """Whether a text is DeepSeek-OCR's output, and not a text that quotes its markers."""
    starts = (block for block in page.blocks if block.kind is not BlockKind.CODE)
    return any(_MARKER.match(page.text, block.start) for block in starts)


def _transcribed(page: PageMarkdown) -> PageMarkdown:
    """Read DeepSeek-OCR's raw output, as servers return it: its markers become boxes.

    Offsets refer to the Markdown made from it, which has no markers.
    """
    ref = PageRef(DocumentRef("", "", "", "", 1), page.index, page.label)
    blocks = parse_transcript(page.text)
    return page_markdown(ParsedPage(ref, 1.0, 1.0, blocks, engine="deepseek-ocr"))


def _file(node: BaseNode) -> str:
    metadata = node.metadata
    return str(metadata.get(Field.FILE_ID) or _uri(node) or metadata.get(Field.FILE_NAME) or "")


def _uri(node: BaseNode) -> str:
    """The file or web page that a Document names as its origin; empty if it names none."""
    values = (node.metadata.get(key) for key in _URI_KEYS)
    return next((v for v in values if v and isinstance(v, str) and not v.isdecimal()), "")


# -- page numbers --------------------------------------------------------------------------


def _numbered(nodes: Sequence[BaseNode]) -> list[PageDocument]:
    """Give Documents their 1-based page numbers; add 1 in files that count from 0."""
    stated = [(node, _stated(node)) for node in nodes]
    from_zero = {
        _file(node) for node, number in stated if number is not None and _counts_from_zero(node)
    }
    return [
        PageDocument(node, None if number is None else number + (_file(node) in from_zero))
        for node, number in stated
    ]


def _counts_from_zero(node: BaseNode) -> bool:
    """Whether the page number is 0, or one less than the page label (LangChain)."""
    number = node.metadata.get("page")
    label = str(node.metadata.get(Field.PAGE_LABEL, ""))
    return number in (0, "0") or (label.isdecimal() and str(number) == str(int(label[:9]) - 1))


def _stated(node: BaseNode) -> int | None:
    """The page number that a Document's metadata state."""
    layout = node.metadata.get(LAYOUT_KEY)
    if isinstance(layout, Mapping) and isinstance(layout.get("index"), int):
        return int(layout["index"]) + 1
    for key in _NUMBER_KEYS:
        value: Any = node.metadata.get(key)
        if isinstance(value, bool) or value is None:
            continue
        if str(value).isdecimal() and 1 <= len(str(value)) <= 7 and int(value) <= _MOST_PAGES:
            return int(value)
    return None
