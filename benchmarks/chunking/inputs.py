"""The documents that chunkers are compared on: PDFs, DeepSeek-OCR output, generated pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from opticalrag.ingest.chunking.furniture import write_pages
from opticalrag.ingest.core.config import ChunkingConfig, EngineConfig
from opticalrag.ingest.core.errors import OpticalRagError
from opticalrag.ingest.core.identity import document_id
from opticalrag.ingest.core.records import (
    Block,
    BlockKind,
    DocumentRef,
    PageFailure,
    PageRef,
    ParsedPage,
)
from opticalrag.ingest.documents.pages import open_document
from opticalrag.ingest.engines.choice import make_engine
from opticalrag.ingest.engines.deepseek_ocr.grounding.transcript import parse_transcript
from opticalrag.ingest.markdown.render import PageMarkdown

__all__ = [
    "AtomTruth",
    "Column",
    "Source",
    "TableTruth",
    "as_source",
    "read_pdfs",
    "read_transcripts",
]

PAGE = (595.0, 842.0)  # A4 in points, for pages without a rendering
_OWNERS = frozenset({BlockKind.TABLE, BlockKind.FIGURE})


@dataclass(frozen=True)
class Column:
    """A column of a generated table: the words of its headers, and the words of its cells."""

    header: frozenset[str]
    body: frozenset[str]


@dataclass(frozen=True)
class TableTruth:
    """A generated table: its columns and the words of its caption."""

    columns: tuple[Column, ...]
    caption: frozenset[str]


@dataclass(frozen=True)
class AtomTruth:
    """A generated formula or code block: its text, and its words that occur nowhere else."""

    kind: BlockKind
    text: str
    markdown: str
    ids: frozenset[str]


@dataclass(frozen=True)
class Source:
    """One document. ``file`` is None unless it is a PDF."""

    name: str
    group: str  # "pdf" | "tables" | "formulas and code" | "deepseek"
    document: DocumentRef
    parsed: tuple[ParsedPage, ...]
    pages: tuple[PageMarkdown, ...]
    file: Path | None = None
    tables: tuple[TableTruth, ...] = ()
    atoms: tuple[AtomTruth, ...] = ()

    def blocks(self) -> Iterator[tuple[ParsedPage, list[Block]]]:
        """The blocks of each page without its furniture (running headers and footers)."""
        for parsed, page in zip(self.parsed, self.pages, strict=True):
            yield parsed, [parsed.blocks[i] for i in sorted({span.index for span in page.blocks})]

    def for_peers(self) -> dict[str, Any]:
        """The source as JSON values; see :mod:`benchmarks.peers.protocol`."""
        pages = []
        for page, (parsed, blocks) in zip(self.pages, self.blocks(), strict=True):
            owners = _caption_owners(blocks)
            pages.append(
                {
                    "number": page.index + 1,
                    "label": page.label,
                    "width": parsed.width,
                    "height": parsed.height,
                    "text": page.text,
                    "blocks": [
                        {**_as_json(block), "caption_of": owners.get(number)}
                        for number, block in enumerate(blocks)
                    ],
                }
            )
        return {"name": self.name, "file": str(self.file) if self.file else None, "pages": pages}


def _as_json(block: Block) -> dict[str, Any]:
    values = asdict(block)
    values["box"] = block.box.as_tuple()
    for cell, values_of_cell in zip(
        block.table.cells if block.table else (),
        (values["table"] or {"cells": ()})["cells"],
        strict=True,
    ):
        values_of_cell["box"] = cell.box.as_tuple() if cell.box else None
    return {key: v.value if isinstance(v, Enum) else v for key, v in values.items()}


def _caption_owners(blocks: Sequence[Block]) -> dict[int, int]:
    """Map each caption to its table or figure: the nearer of its two neighbours."""
    owners = {}
    for number, block in enumerate(blocks):
        if block.kind is not BlockKind.CAPTION:
            continue
        near = [
            i
            for i in (number - 1, number + 1)
            if 0 <= i < len(blocks) and blocks[i].kind in _OWNERS
        ]
        if near:
            owners[number] = min(near, key=lambda i, b=block: _gap(b, blocks[i]))
    return owners


def _gap(a: Block, b: Block) -> float:
    return max(a.box.y0 - b.box.y1, b.box.y0 - a.box.y1)


def as_source(name: str, group: str, pages: Sequence[Sequence[Block]], **truth: Any) -> Source:
    """Make a source from blocks without a file, page by page."""
    ref = DocumentRef(document_id(name, ""), "", name, name, len(pages))
    parsed = tuple(
        ParsedPage(PageRef(ref, i, str(i + 1)), *PAGE, tuple(blocks), "benchmark")
        for i, blocks in enumerate(pages)
    )
    return Source(name, group, ref, parsed, _rendered(parsed), **truth)


def read_transcripts(folder: Path) -> Iterator[Source]:
    """Output of DeepSeek-OCR, one page per source."""
    for file in sorted(folder.glob("*.md")):
        yield as_source(file.stem, "deepseek", [parse_transcript(file.read_text("utf-8"))])


def read_pdfs(folder: Path) -> Iterator[Source | str]:
    """Parse PDFs with the layout engine; report why one cannot be parsed."""
    engine = make_engine(EngineConfig(name="layout"))
    for file in sorted(folder.glob("*.pdf")):
        try:
            with open_document(file) as document:
                outcomes = list(engine.parse(document.tasks()))
                ref = document.ref
        except OpticalRagError as error:
            yield f"{file.name}: {error}"
            continue
        yield from (f"{file.name}: {o.message}" for o in outcomes if isinstance(o, PageFailure))
        parsed = tuple(o for o in outcomes if isinstance(o, ParsedPage))
        yield Source(file.name, "pdf", ref, parsed, _rendered(parsed), file)
    engine.close()


def _rendered(pages: Sequence[ParsedPage]) -> tuple[PageMarkdown, ...]:
    return tuple(write_pages(pages, ChunkingConfig().furniture))
