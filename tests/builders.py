"""Builders of small records for tests, with defaults for the fields that do not matter."""

from __future__ import annotations

from opticalrag.ingest.core.records import (
    Block,
    BlockKind,
    Box,
    DocumentRef,
    PageRef,
    ParsedPage,
    TableCell,
    TableGrid,
)


def document(pages: int = 1, uri: str = "/reports/report.pdf") -> DocumentRef:
    return DocumentRef(
        id="d0c00000-0000-5000-8000-000000000000",
        sha256="0" * 64,
        name=uri.rsplit("/", 1)[-1],
        uri=uri,
        page_count=pages,
    )


def page(*blocks: Block, index: int = 0, label: str | None = None) -> ParsedPage:
    ref = PageRef(document(index + 1), index, label or str(index + 1))
    return ParsedPage(ref, 595.0, 842.0, blocks, engine="test")


def block(
    text: str,
    kind: BlockKind = BlockKind.TEXT,
    level: int = 0,
    box: tuple[float, float, float, float] = (0.1, 0.1, 0.9, 0.2),
) -> Block:
    return Block(kind, Box(*box), text, level)


def grid(*rows: list[str], header_rows: int = 1) -> TableGrid:
    cells = tuple(TableCell(r, c, text) for r, row in enumerate(rows) for c, text in enumerate(row))
    return TableGrid(len(rows), max(map(len, rows)), cells, header_rows)


class WordCounter:
    """Counts words, plus two special tokens like BERT's."""

    def __init__(self, max_tokens: int = 64) -> None:
        self.max_tokens = max_tokens

    def count_tokens(self, text: str) -> int:
        return len(text.split()) + 2


class CharacterCounter(WordCounter):
    """Counts characters, so that sizes do not depend on the script."""

    def count_tokens(self, text: str) -> int:
        return len(text) + 2
