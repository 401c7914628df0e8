"""Runs docling-core's HybridChunker on documents built from our blocks.

The document has the structure of docling's own pipeline: labelled texts, headings with levels,
table grids with header flags, captions below their table or figure, and a box for every item.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from itertools import groupby
from typing import Any

from docling_core.transforms.chunker.hierarchical_chunker import (
    ChunkingDocSerializer,
    ChunkingSerializerProvider,
)
from docling_core.transforms.chunker.hybrid_chunker import HybridChunker
from docling_core.transforms.chunker.tokenizer.huggingface import HuggingFaceTokenizer
from docling_core.transforms.serializer.markdown import MarkdownTableSerializer
from docling_core.types.doc import (
    BoundingBox,
    CoordOrigin,
    DocItemLabel,
    DoclingDocument,
    NodeItem,
    ProvenanceItem,
    Size,
    TableCell,
    TableData,
)
from transformers import AutoTokenizer

from .protocol import Outcome, PageBox, PeerInput, Piece, measure, run_peer

_BULLET = re.compile(r"^[•◦▪▫‣⁃·●○■□–—*\-]\s+")
_ENUMERATOR = re.compile(r"^(\(?\d{1,3}[.)]|\(?[a-zA-Z][.)])\s+")
_LABELS = {
    "caption": DocItemLabel.CAPTION,
    "footnote": DocItemLabel.FOOTNOTE,
    "page_header": DocItemLabel.TEXT,  # only part of our text if the page has nothing else
    "page_footer": DocItemLabel.TEXT,
}


class MarkdownTables(ChunkingSerializerProvider):
    """Serialises tables with pipes instead of "row, column = value"."""

    def get_serializer(self, doc: DoclingDocument) -> ChunkingDocSerializer:
        """Return the serializer of a document."""
        return ChunkingDocSerializer(doc=doc, table_serializer=MarkdownTableSerializer())


def build(source: Mapping[str, Any]) -> DoclingDocument:
    """Make a document from the blocks of a source."""
    document = DoclingDocument(name=source["name"])
    for page in source["pages"]:
        document.add_page(page["number"], Size(width=page["width"], height=page["height"]))
        _add_page(document, page)
    return document


def _add_page(document: DoclingDocument, page: Mapping[str, Any]) -> None:
    blocks = page["blocks"]
    captions = [(i, b) for i, b in enumerate(blocks) if b["caption_of"] is not None]
    for is_list, group in groupby(enumerate(blocks), lambda pair: pair[1]["kind"] == "list_item"):
        parent = document.add_list_group() if is_list else None
        for number, block in group:
            if block["caption_of"] is not None:
                continue
            item = _add_block(document, page, block, parent)
            for _, caption in (pair for pair in captions if pair[1]["caption_of"] == number):
                words = document.add_text(
                    DocItemLabel.CAPTION, caption["text"], prov=_place(page, caption), parent=item
                )
                item.captions.append(words.get_ref())


def _add_block(
    document: DoclingDocument,
    page: Mapping[str, Any],
    block: Mapping[str, Any],
    parent: NodeItem | None,
) -> Any:
    kind, text, place = block["kind"], block["text"], _place(page, block)
    if kind == "title":
        return document.add_title(text, prov=place)
    if kind == "heading":
        return document.add_heading(text, level=max(block["level"], 1), prov=place)
    if kind == "list_item":
        return _add_list_item(document, text, place, parent)
    if block["table"]:
        return document.add_table(_table(page, block["table"]), prov=place)
    if kind == "figure":
        return _add_figure(document, text, place)
    return _add_text(document, kind, text, place)


def _add_figure(document: DoclingDocument, text: str, place: ProvenanceItem) -> Any:
    picture = document.add_picture(prov=place)
    if text:
        # A sibling of the picture: as its child, the chunker would skip it.
        document.add_text(DocItemLabel.TEXT, text, prov=place)
    return picture


def _add_text(document: DoclingDocument, kind: str, text: str, place: ProvenanceItem) -> Any:
    if kind == "code":
        return document.add_code(text.strip("\n"), prov=place)
    if kind == "formula":
        # The serializer adds the dollar signs again.
        return document.add_formula(re.sub(r"^\$\$|\$\$$", "", text.strip()).strip(), prov=place)
    return document.add_text(_LABELS.get(kind, DocItemLabel.TEXT), text, prov=place)


def _add_list_item(
    document: DoclingDocument, text: str, place: ProvenanceItem, parent: NodeItem | None
) -> Any:
    number = _ENUMERATOR.match(text)
    return document.add_list_item(
        text[number.end() :] if number else _BULLET.sub("", text, count=1),
        enumerated=bool(number),
        marker=number[1] if number else "-",
        prov=place,
        parent=parent,
    )


def _table(page: Mapping[str, Any], grid: Mapping[str, Any]) -> TableData:
    cells = [
        TableCell(
            text=cell["text"],
            row_span=cell["row_span"],
            col_span=cell["col_span"],
            start_row_offset_idx=cell["row"],
            end_row_offset_idx=min(cell["row"] + cell["row_span"], grid["rows"]),
            start_col_offset_idx=cell["col"],
            end_col_offset_idx=min(cell["col"] + cell["col_span"], grid["cols"]),
            column_header=cell["row"] < grid["header_rows"],
            bbox=_rectangle(page, cell["box"]) if cell["box"] else None,
        )
        for cell in grid["cells"]
    ]
    return TableData(table_cells=cells, num_rows=grid["rows"], num_cols=grid["cols"])


def _place(page: Mapping[str, Any], block: Mapping[str, Any]) -> ProvenanceItem:
    return ProvenanceItem(
        page_no=page["number"],
        bbox=_rectangle(page, block["box"]),
        charspan=(0, len(block["text"])),
    )


def _rectangle(page: Mapping[str, Any], box: tuple[float, ...]) -> BoundingBox:
    width, height = page["width"], page["height"]
    return BoundingBox(
        l=box[0] * width,
        t=box[1] * height,
        r=box[2] * width,
        b=box[3] * height,
        coord_origin=CoordOrigin.TOPLEFT,
    )


def _piece(
    name: str, chunk: Any, chunker: HybridChunker, sizes: Mapping[int, tuple[float, float]]
) -> Piece:
    boxes: list[PageBox] = []
    for place in (place for item in chunk.meta.doc_items for place in item.prov):
        box = place.bbox
        width, height = sizes[place.page_no]
        boxes.append((place.page_no, box.l / width, box.t / height, box.r / width, box.b / height))
    pages = tuple(sorted({box[0] for box in boxes}))
    return Piece(name, chunker.contextualize(chunk), chunk.text, pages, tuple(boxes))


def run(given: PeerInput) -> Iterator[Outcome]:
    """Run it with its defaults, then with Markdown tables."""
    tokenizer = HuggingFaceTokenizer(
        tokenizer=AutoTokenizer.from_pretrained(given.tokenizer), max_tokens=given.max_tokens
    )
    sources = {source["name"]: build(source) for source in given.sources}
    sizes = {
        source["name"]: {p["number"]: (p["width"], p["height"]) for p in source["pages"]}
        for source in given.sources
    }
    variants = {
        "docling-core HybridChunker": HybridChunker(tokenizer=tokenizer),
        "docling-core HybridChunker, Markdown tables": HybridChunker(
            tokenizer=tokenizer, serializer_provider=MarkdownTables()
        ),
    }
    for title, chunker in variants.items():
        yield measure(
            title,
            version("docling-core"),
            sources,
            chunker.chunk,
            lambda name, made, c=chunker: [_piece(name, chunk, c, sizes[name]) for chunk in made],
        )


if __name__ == "__main__":
    run_peer(run)
