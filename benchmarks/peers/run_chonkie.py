"""Runs chonkie's RecursiveChunker on our Markdown, page by page, with and without TableChunker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from chonkie import RecursiveChunker, RecursiveLevel, RecursiveRules, TableChunker
from chonkie.chef import MarkdownChef
from chonkie.types import Chunk, Document
from tokenizers import Tokenizer

from .protocol import Outcome, PeerInput, Piece, measure, run_peer

Pages = Sequence[Mapping[str, Any]]

# Its Markdown recipe is on a hub. These are the same levels: sections, paragraphs, lines,
# sentences, words.
_HEADINGS = ["\n" + "#" * depth + " " for depth in range(1, 7)]
MARKDOWN = RecursiveRules(
    [
        RecursiveLevel(delimiters=_HEADINGS, include_delim="next"),
        RecursiveLevel(delimiters=["\n\n"]),
        RecursiveLevel(delimiters=["\n"]),
        RecursiveLevel(delimiters=[". ", "! ", "? "]),
        RecursiveLevel(whitespace=True),
        RecursiveLevel(),
    ]
)


def cut_text(pages: Pages, tokenizer: Tokenizer, size: int) -> Iterator[Chunk]:
    """Chunk pages as text."""
    chunker = _text_chunker(tokenizer, size)
    for page in pages:
        document = Document(content=page["text"], metadata={"page": page["number"]})
        yield from chunker.chunk_document(document).chunks


def cut_with_tables(pages: Pages, tokenizer: Tokenizer, size: int) -> Iterator[Chunk]:
    """Chunk pages as its pipeline does: the chef finds tables, and each kind has its chunker."""
    chef = MarkdownChef(tokenizer)
    text, table = _text_chunker(tokenizer, size), TableChunker(tokenizer, size)
    for page in pages:
        document = chef.parse(page["text"])
        document.metadata = {"page": page["number"]}
        # The chef takes code out of the text, but no chunker adds it to the chunks.
        document.chunks += [
            Chunk(text=page["text"][c.start_index : c.end_index], start_index=c.start_index)
            for c in document.code
        ]
        document = text.chunk_document(document)
        yield from table.chunk_document(document).chunks


def _text_chunker(tokenizer: Tokenizer, size: int) -> RecursiveChunker:
    # A new one for each document: it remembers the counts of texts it has seen, and would
    # otherwise be timed on documents that it knows.
    return RecursiveChunker(tokenizer, size, MARKDOWN)


def pieces(name: str, chunks: Sequence[Chunk]) -> list[Piece]:
    """Turn chunks into pieces; the page comes from their inherited metadata."""
    return [
        Piece(name, chunk.text, chunk.text, tuple(filter(None, [chunk.metadata.get("page")])))
        for chunk in chunks
    ]


def run(given: PeerInput) -> Iterator[Outcome]:
    """Run it without and with the TableChunker."""
    tokenizer = Tokenizer.from_file(str(Path(given.tokenizer, "tokenizer.json")))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    size = given.max_tokens
    sources = {source["name"]: source["pages"] for source in given.sources}
    cutters = {
        "chonkie RecursiveChunker": lambda pages: cut_text(pages, tokenizer, size),
        "chonkie RecursiveChunker + TableChunker": lambda pages: cut_with_tables(
            pages, tokenizer, size
        ),
    }
    for title, cut in cutters.items():
        yield measure(title, version("chonkie"), sources, cut, pieces)


if __name__ == "__main__":
    run_peer(run)
