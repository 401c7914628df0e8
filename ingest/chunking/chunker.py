"""Turns the pages of a document into chunks with bounded tokens, headings and page spans.

The stages are :mod:`.flow` (join the pages into elements), :mod:`.cutting` (cut long elements)
and :mod:`.packing` (group pieces into chunks). Every piece is counted with its context before it
is accepted, and every chunk again as a whole. A single character always counts as fitting.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache, lru_cache, partial
from itertools import pairwise, takewhile
from operator import itemgetter
from typing import Final

from ..core.config import ChunkingConfig
from ..core.identity import chunk_id
from ..core.protocols import TokenCounter
from ..core.records import BlockKind, Chunk, DocumentRef, PageSpan
from ..markdown.render import PageMarkdown
from .captions import bare
from .cutting import Piece, cut
from .elements import Element
from .flow import build_flow
from .language import detect_language
from .packing import pack
from .text_cutting import cut_text, last_sentences

__all__ = ["Repeats", "chunk_pages"]

Repeats = Counter[tuple[str | int, ...]]
"""Counts ids made from the same facts, so that every id is unique. The facts of a chunk are the
document's id, the 0-based first page and the embedded text."""

_PATH_SEPARATOR: Final = " > "
_PATH_SHARE: Final = 0.3
"""Largest share of the cap that headings may take."""
_INTRODUCTION_SHARE: Final = 0.25
"""Largest share of the cap that a caption or a lead-in may take."""
_OVERLAPPING: Final = frozenset({BlockKind.TEXT, BlockKind.LIST_ITEM, BlockKind.OTHER})
_LONGEST_TOKEN: Final = 16
"""Characters that count as at least one token: for WordPiece, 100,000 letters without a space are
one unknown word, but a chunk that long would be cited, shown and paid for as a whole."""
_WIDEST_GAP: Final = 40  # characters of white space between blocks; wider becomes an empty line


def chunk_pages(
    document: DocumentRef,
    pages: Sequence[PageMarkdown],
    counter: TokenCounter,
    config: ChunkingConfig | None = None,
    repeats: Repeats | None = None,
) -> list[Chunk]:
    """Chunk a document.

    Args:
        document: the document of the pages.
        pages: its pages in order.
        counter: counts tokens as the embedder does.
        config: None for the defaults.
        repeats: of earlier calls, if the document is chunked in several. Updated in place.

    Raises:
        ConfigError: the cap exceeds the embedder's longest input.

    Returns:
        Chunks in reading order, each of at most the cap's ``tokens``. Every character of text is
        in exactly one chunk, but running heads and page numbers only if the configuration keeps
        them. Contexts repeat some text.
    """
    chunker = _Chunker(document, pages, counter, config or ChunkingConfig())
    return list(chunker.run(Counter() if repeats is None else repeats))


class _Chunker:
    def __init__(
        self,
        document: DocumentRef,
        pages: Sequence[PageMarkdown],
        counter: TokenCounter,
        config: ChunkingConfig,
    ) -> None:
        self.document = document
        self.pages = pages
        # A chunk of one piece has the same text that was counted when the piece was cut.
        self.count = lru_cache(maxsize=64)(partial(_count, counter))
        self.cap = config.cap(counter.max_tokens)
        self.target = min(config.target_tokens or self.cap, self.cap)
        self.overlap = min(config.overlap_tokens, self.target // 2)
        self.elements = build_flow(pages, drop_running=config.furniture != "keep")
        self.special = self.count("")
        # Some tokenizers count a line break as a token; there are two between blocks.
        self.gap = max(self.count("a\n\na") - 2 * self.count("a") + self.special, 0)
        self._contexts: dict[tuple[tuple[str, ...], int | None], tuple[str, int]] = {}
        self.language = cache(lambda page: detect_language(pages[page].text))

    def run(self, repeats: Repeats) -> Iterator[Chunk]:
        ordinal = 0
        before: Chunk | None = None
        for group in pack(list(self._pieces()), self._size, self.target - self.overlap, self.cap):
            for chunk in self._chunks(group, before):
                page, text = chunk.spans[0].index, chunk.embedded_text
                key = (self.document.id, page, text)
                name = chunk_id(self.document.id, page, text, repeats[key])
                before = replace(chunk, id=name, ordinal=ordinal)
                repeats[key] += 1
                ordinal += 1
                yield before

    def _pieces(self) -> Iterator[Piece]:
        headings: list[Element] = []  # right above the current element, on the same page
        for element in self.elements:
            if headings and headings[-1].page != element.page:
                headings = []
            yield from self._cut(element, headings)
            headings = [*headings, element] if element.rank else []

    def _cut(self, element: Element, headings: Sequence[Element]) -> Iterator[Piece]:
        # A heading's context is the headings above it; a part of a long one repeats it, too.
        paths = (element.path[:-1], element.path) if element.rank else (element.path,)
        contexts = (self._context(path, element.introduced_by) for path in paths)
        context, added = max(contexts, key=itemgetter(1))

        def size(text: str) -> int:
            return self.count(_join(context, text))

        for piece in cut(element, size, self.cap, self._first_room(element, headings)):
            own = size(piece.text) - added - self.special if piece.text else 0
            yield replace(piece, tokens=own)

    def _first_room(self, element: Element, headings: Sequence[Element]) -> int:
        """The cap minus the tokens that the headings right above an element add to its chunk."""
        if not headings:
            return self.cap
        own = 0
        for heading in headings:
            own += self.count(heading.text) - self.special + self.gap
            if own > self.cap * _PATH_SHARE:
                return self.cap
        _, repeated = self._context(element.path, None)
        _, above = self._context(headings[0].path[:-1], None)
        added = max(own + above - repeated, 0)
        return self.cap - added if added <= self.cap * _PATH_SHARE else self.cap

    def _size(self, pieces: Sequence[Piece]) -> int:
        """About how many tokens a chunk has: the sum of its pieces, each counted once."""
        _, context = self._context(_shown_path(pieces[0]), _introduction(pieces))
        tokens = context + sum(p.tokens for p in pieces) + self.gap * len(pieces) + self.special
        return max(tokens, sum(len(p.text) + 2 for p in pieces) // _LONGEST_TOKEN)

    def _context(self, path: tuple[str, ...], introduction: int | None) -> tuple[str, int]:
        """The line of headings and the introduction below it, and the tokens they add."""
        key = (path, introduction)
        if key not in self._contexts:
            lines = [self._path_line(path), self._introduction_lines(introduction)]
            text = "\n".join(filter(None, lines))
            self._contexts[key] = (text, self.count(text) - self.special if text else 0)
        return self._contexts[key]

    def _path_line(self, path: tuple[str, ...]) -> str:
        """The path as a line; the outer headings are dropped first if it is too long."""
        budget = int(self.cap * _PATH_SHARE)
        for first in range(len(path)):
            line = _PATH_SEPARATOR.join(path[first:])
            if self.count(line) <= budget:
                return line
        return self._shortened(path[-1], budget) if path else ""

    def _introduction_lines(self, number: int | None) -> str:
        """A caption; or the parent list items and the sentence that leads to the list."""
        budget = int(self.cap * _INTRODUCTION_SHARE)
        lines = ""
        while number is not None:
            element = self.elements[number]
            text = " ".join(bare(element.text).split())
            if element.kind is BlockKind.CAPTION:
                return text if self.count(text) <= budget else self._shortened(text, budget)
            lead = last_sentences(text, partial(self._fits_above, lines, budget), most=1)
            if not lead:
                break
            lines = f"{lead}\n{lines}" if lines else lead
            number = element.introduced_by
        return lines

    def _fits_above(self, lines: str, budget: int, text: str) -> bool:
        return self.count(f"{text}\n{lines}") <= budget

    def _shortened(self, text: str, budget: int) -> str:
        pieces = cut_text(text, lambda a, b: self.count(text[a:b]), lambda _: budget)
        start, end = next(pieces, (0, 0))
        return text[start:end]

    def _chunks(self, group: list[Piece], before: Chunk | None) -> Iterator[Chunk]:
        """The chunk of a group, or several if the pieces exceed the cap when counted together."""
        while group:
            taken = len(group)
            chunk = self._chunk(group[:taken])
            while chunk.tokens > self.cap and taken > 1:
                taken = max(1, min(taken - 1, taken * self.cap // chunk.tokens))
                chunk = self._chunk(group[:taken])
            if chunk.text.strip():  # otherwise a figure without text or caption
                yield self._overlapping(chunk, group[0], before)
            group, before = group[taken:], None

    def _chunk(self, pieces: Sequence[Piece]) -> Chunk:
        context, _ = self._context(_shown_path(pieces[0]), _introduction(pieces))
        text = self._text(pieces)
        return Chunk(
            id="",
            document=self.document,
            text=text,
            context=context,
            heading_path=_common_path(pieces),
            kinds=tuple(dict.fromkeys(p.element.kind for p in pieces)),
            spans=self._spans(pieces),
            tokens=self.count(_join(context, text)),
            ordinal=0,
            language=self.language(pieces[0].element.page),
        )

    def _overlapping(self, chunk: Chunk, first: Piece, before: Chunk | None) -> Chunk:
        """Add the last sentences of the previous chunk to the context, if they fit."""
        if not self.overlap or before is None or not _follows(before, chunk, first):
            return chunk
        room = min(self.overlap, self.cap - chunk.tokens - self.gap)
        tail = last_sentences(before.text, lambda t: self.count(t) - self.special <= room)
        context = "\n".join(filter(None, (chunk.context, tail)))
        tokens = self.count(_join(context, chunk.text))
        return replace(chunk, context=context, tokens=tokens) if tokens <= self.cap else chunk

    def _text(self, pieces: Sequence[Piece]) -> str:
        shown = [p for p in pieces if p.text]
        text = shown[0].text if shown else ""
        indent = self._indent(shown[0]) if shown else 0
        for left, right in pairwise(shown):
            text += self._between(left, right, indent) + right.text
        return text

    def _between(self, left: Piece, right: Piece, indent: int) -> str:
        """White space between two neighbours, without a list's ``indent``; or an empty line."""
        a, b = left.provenance[-1], right.provenance[0]
        if a.page == b.page and a.ranges and b.ranges:
            between = self.pages[a.page].text[a.ranges[-1][1] : b.ranges[0][0]]
            if 0 < len(between) <= _WIDEST_GAP and between.isspace():
                return re.sub(rf"\n {{1,{indent}}}", "\n", between) if indent else between
        return "\n\n"

    def _indent(self, piece: Piece) -> int:
        """The characters of indentation that a piece has lost on its first line."""
        first = piece.provenance[0]
        text = self.pages[first.page].text
        start = first.ranges[0][0] if first.ranges else 0
        line = text[text.rfind("\n", 0, start) + 1 : start]
        return len(line) if line.isspace() else 0

    def _spans(self, pieces: Sequence[Piece]) -> tuple[PageSpan, ...]:
        sources = [source for piece in pieces for source in piece.provenance]
        spans = []
        for number in sorted({source.page for source in sources}):
            here = [source for source in sources if source.page == number]
            page = self.pages[number]
            spans.append(
                PageSpan(
                    index=page.index,
                    label=page.label,
                    ranges=_merged(page.text, [r for source in here for r in source.ranges]),
                    boxes=tuple(dict.fromkeys(source.box for source in here if source.box)),
                    blocks=tuple(dict.fromkeys(source.block for source in here)),
                    exact=all(source.exact for source in here),
                )
            )
        return tuple(spans)


def _count(counter: TokenCounter, text: str) -> int:
    return max(counter.count_tokens(text), len(text) // _LONGEST_TOKEN)


def _merged(text: str, ranges: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Merge ranges with only white space between them; drop empty ranges."""
    merged: list[tuple[int, int]] = []
    for start, end in ranges:
        if start == end:
            continue
        last = merged[-1] if merged else None
        if last and last[1] <= start and not text[last[1] : start].strip():
            merged[-1] = (last[0], end)
        else:
            merged.append((start, end))
    return tuple(merged)


def _shown_path(first: Piece) -> tuple[str, ...]:
    """The path in a chunk's context: without a heading that begins the chunk's text."""
    return first.element.path[:-1] if first.element.rank and not first.part else first.element.path


def _introduction(pieces: Sequence[Piece]) -> int | None:
    """The first introduction that the chunk's pieces need and do not include themselves."""
    held = {None, *(piece.element.number for piece in pieces)}
    found = (piece.element.introduced_by for piece in pieces)
    return next((number for number in found if number not in held), None)


def _common_path(pieces: Sequence[Piece]) -> tuple[str, ...]:
    """The headings that all of a chunk's text has in common; if none, those of its first text."""
    paths = [p.element.path for p in pieces if not p.element.rank] or [pieces[-1].element.path]
    levels = takewhile(lambda titles: len(set(titles)) == 1, zip(*paths, strict=False))
    return tuple(titles[0] for titles in levels) or paths[0]


def _follows(before: Chunk, chunk: Chunk, first: Piece) -> bool:
    """Whether a chunk continues the text of the previous one, on the same page."""
    return (
        first.element.kind in _OVERLAPPING
        and before.kinds[-1] in _OVERLAPPING
        and before.heading_path == chunk.heading_path
        and before.spans[0].index == chunk.spans[0].index
    )


def _join(context: str, text: str) -> str:
    return f"{context}\n{text}" if context else text
