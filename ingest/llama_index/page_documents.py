"""LlamaIndex Documents as pages of files: those of our reader, and of any other.

Our reader says where each block stands, and so do the markers in DeepSeek-OCR's raw output. Of
other readers, the Documents of one file are its pages if their metadata tell which; all else
stands alone.
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
from ..engines.deepseek_ocr.grounding.transcript import parse_transcript
from ..markdown.parse import parse_markdown
from ..markdown.render import PageMarkdown, page_markdown

__all__ = ["LAYOUT_KEY", "PageDocument", "by_file", "document_of", "page_of"]

LAYOUT_KEY: Final = "layout"
"""Metadata key under which the reader keeps where each block stands."""

_NUMBER_KEYS: Final = ("page", "page_number", Field.PAGE_LABEL, "source")
"""Where readers put the page's number: PyMuPDF4LLM, Unstructured, PDFReader, PyMuPDFReader."""
_URI_KEYS: Final = (Field.FILE_PATH, "url", "URL", "source")
"""Where readers put the file or web page."""
_MARKER: Final = re.compile(r"<\|ref\|>[^<>\n]{1,200}<\|/ref\|><\|det\|>\[\[")
_MOST_PAGES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class PageDocument:
    """A Document and the 1-based page it says it is, or None."""

    node: BaseNode
    number: int | None


def by_file(nodes: Sequence[BaseNode]) -> Iterator[list[PageDocument]]:
    """Group page Documents of the same file; others stay alone, in the order given."""
    documents = _numbered(nodes)
    pages = Counter((_file(d.node), d.number) for d in documents)
    order: dict[str, int] = {}

    def key(document: PageDocument) -> str:
        file = _file(document.node)
        # Two Documents of one page are parts of it, whose order nobody tells.
        whole = file and document.number is not None and pages[file, document.number] == 1
        return f"file {file}" if whole else f"node {document.node.node_id}"

    for document in documents:
        order.setdefault(key(document), len(order))
    ranked = sorted(documents, key=lambda document: order[key(document)])
    for _, group in groupby(ranked, key=key):
        yield list(group)


def document_of(members: Sequence[PageDocument], pages: Sequence[PageMarkdown]) -> DocumentRef:
    """The file that Documents are the pages of."""
    first = members[0].node.metadata
    text = "\f".join(page.text for page in pages).encode("utf-8", "surrogatepass")
    sha = str(first.get(Field.FILE_SHA256) or hashlib.sha256(text).hexdigest())
    uri = _uri(members[0].node)
    place = uri
    if not uri or not (members[0].number or first.get(Field.PAGE_LABEL)):
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


def page_of(document: PageDocument) -> PageMarkdown:
    """A Document as a page: by its layout, its markers, or its Markdown."""
    text = document.node.get_content()
    index = (document.number or 1) - 1
    layout = document.node.metadata.get(LAYOUT_KEY)
    if isinstance(layout, Mapping):
        try:
            return PageMarkdown.from_layout(text, layout)
        except (KeyError, ValueError, TypeError):
            pass  # another transformation changed the text; read it as it is now
    label = str(document.node.metadata.get(Field.PAGE_LABEL) or index + 1)
    page = parse_markdown(text, index=index, label=label)
    return _transcribed(page) if _is_transcript(page) else page


def _is_transcript(page: PageMarkdown) -> bool:
    """Whether a text is the model's output, rather than a text about it."""
    starts = (block for block in page.blocks if block.kind is not BlockKind.CODE)
    return any(_MARKER.match(page.text, block.start) for block in starts)


def _transcribed(page: PageMarkdown) -> PageMarkdown:
    """What DeepSeek-OCR wrote, as servers hand it on: its markers become boxes.

    Offsets count in the Markdown made of it, which has no markers.
    """
    ref = PageRef(DocumentRef("", "", "", "", 1), page.index, page.label)
    blocks = parse_transcript(page.text)
    return page_markdown(ParsedPage(ref, 1.0, 1.0, blocks, engine="deepseek-ocr"))


def _file(node: BaseNode) -> str:
    metadata = node.metadata
    return str(metadata.get(Field.FILE_ID) or _uri(node) or metadata.get(Field.FILE_NAME) or "")


def _uri(node: BaseNode) -> str:
    """Where a Document was read from, as far as it says so."""
    values = (node.metadata.get(key) for key in _URI_KEYS)
    return next((v for v in values if v and isinstance(v, str) and not v.isdecimal()), "")


# -- page numbers --------------------------------------------------------------------------


def _numbered(nodes: Sequence[BaseNode]) -> list[PageDocument]:
    """Documents with their 1-based page; files of which a page is 0 count from there."""
    told = [(node, _told(node)) for node in nodes]
    from_zero = {_file(node) for node, number in told if number is not None and _is_below(node)}
    return [
        PageDocument(node, None if number is None else number + (_file(node) in from_zero))
        for node, number in told
    ]


def _is_below(node: BaseNode) -> bool:
    """Whether a page number counts from 0: it is 0, or one less than the label (LangChain)."""
    number = node.metadata.get("page")
    label = str(node.metadata.get(Field.PAGE_LABEL, ""))
    return number in (0, "0") or (label.isdecimal() and str(number) == str(int(label[:9]) - 1))


def _told(node: BaseNode) -> int | None:
    """The page a Document says it is."""
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
