"""Pages of a document to chunks: bounded by tokens, led by headings, traceable to the page.

Knows nothing of PDFs, models or stores: it sees located Markdown and something that counts. The
stages are :mod:`.flow` (what belongs together), :mod:`.cutting` (what is too long), and
:mod:`.packing` (what shares a chunk). Every piece is counted with its context before it is
accepted, and every chunk once more as a whole; a single character is taken to fit always.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, partial
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
from .flow import flow
from .language import detect_language
from .packing import pack
from .text_cutting import last_sentences, split_text
from .units import Unit

__all__ = ["Repeats", "chunk_pages"]

Repeats = Counter[tuple[str | int, ...]]
"""How often ids were made of the same: for chunks document, 0-based first page, embedded text."""

_PATH_SEPARATOR: Final = " > "
_PATH_SHARE: Final = 0.3
_COMPANION_SHARE: Final = 0.25
"""What headings, and a caption or lead-in, may take of the cap; the rest is for text."""
_OVERLAPPING: Final = frozenset({BlockKind.TEXT, BlockKind.LIST_ITEM, BlockKind.OTHER})
_LONGEST_TOKEN: Final = 16
"""Characters that count as a token at least: to WordPiece 100,000 letters without a space are one
unknown word, and a chunk of them would be cited, shown and paid for as a whole."""
_WIDEST_GAP: Final = 40  # characters between blocks; what is wider is written as two line breaks


def chunk_pages(
    document: DocumentRef,
    pages: Sequence[PageMarkdown],
    counter: TokenCounter,
    config: ChunkingConfig | None = None,
    repeats: Repeats | None = None,
) -> list[Chunk]:
    """Chunk a document.

    Args:
        document: the document the pages are from.
        pages: its pages in order, as Markdown with located blocks.
        counter: counts tokens as the embedder will.
        config: sizes; None for the defaults.
        repeats: how often each text was a chunk before, where several documents may be the same
            one; None: this is the first. Goes on counting.

    Raises:
        ConfigError: the cap is more than the counter's embedder reads.

    Returns:
        Chunks in reading order. No chunk's ``tokens`` exceeds the cap; all text of the pages is
        in exactly one chunk (contexts repeat some of it), but for what runs along the edges of
        many pages, unless the configuration keeps it.
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
        # A chunk of one piece is the text that was counted when the piece was cut.
        self.count = lru_cache(maxsize=64)(partial(_count, counter))
        self.cap = config.cap(counter.max_tokens)
        self.target = min(config.target_tokens or self.cap, self.cap)
        self.overlap = min(config.overlap_tokens, self.target // 2)
        self.units = flow(pages, vote=config.furniture != "keep")
        self.special = self.count("")
        # A line break is a token to some tokenizers; between blocks there are two.
        self.gap = max(self.count("a\n\na") - 2 * self.count("a") + self.special, 0)
        self._contexts: dict[tuple[tuple[str, ...], int | None], tuple[str, int]] = {}
        self._languages: dict[int, str] = {}

    def run(self, repeats: Repeats) -> Iterator[Chunk]:
        """Cut, pack, and number."""
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

    # -- pieces ----------------------------------------------------------------------------

    def _pieces(self) -> Iterator[Piece]:
        headings: list[Unit] = []  # right above the unit, on its page
        for unit in self.units:
            if headings and headings[-1].page != unit.page:
                headings.clear()
            yield from self._cut(unit, headings)
            if unit.rank:
                headings.append(unit)
            else:
                headings.clear()

    def _cut(self, unit: Unit, headings: Sequence[Unit]) -> Iterator[Piece]:
        # A heading stands below those above it, a part of a long one below itself.
        paths = (unit.path[:-1], unit.path) if unit.rank else (unit.path,)
        context, added = max((self._context(p, unit.companion) for p in paths), key=itemgetter(1))

        def size(text: str) -> int:
            return self.count(_join(context, text))

        for piece in cut(unit, size, self.cap, self._first_room(unit, headings)):
            own = size(piece.text) - added - self.special if piece.text else 0
            yield replace(piece, tokens=own)

    def _first_room(self, unit: Unit, headings: Sequence[Unit]) -> int:
        """The cap, less what the headings above a unit add when they stand in its chunk."""
        if not headings:
            return self.cap
        own = 0
        for heading in headings:
            own += self.count(heading.text) - self.special + self.gap
            if own > self.cap * _PATH_SHARE:
                return self.cap
        _, repeated = self._context(unit.path, None)
        _, above = self._context(headings[0].path[:-1], None)
        added = max(own + above - repeated, 0)
        return self.cap - added if added <= self.cap * _PATH_SHARE else self.cap

    def _size(self, pieces: Sequence[Piece]) -> int:
        """About the tokens of a chunk: its parts are counted once and added up."""
        _, context = self._context(_shown_path(pieces[0]), _companion(pieces))
        tokens = context + sum(p.tokens for p in pieces) + self.gap * len(pieces) + self.special
        return max(tokens, sum(len(p.text) + 2 for p in pieces) // _LONGEST_TOKEN)

    # -- context ---------------------------------------------------------------------------

    def _context(self, path: tuple[str, ...], companion: int | None) -> tuple[str, int]:
        """Headings as a line and the companion below it, and the tokens they add."""
        key = (path, companion)
        found = self._contexts.get(key)
        if found is None:
            lines = [self._path_line(path), self._companion_line(companion)]
            text = "\n".join(line for line in lines if line)
            found = self._contexts[key] = (text, self.count(text) - self.special if text else 0)
        return found

    def _path_line(self, path: tuple[str, ...]) -> str:
        """The path as a line; outer headings go first when it is too long."""
        budget = int(self.cap * _PATH_SHARE)
        for first in range(len(path)):
            line = _PATH_SEPARATOR.join(path[first:])
            if self.count(line) <= budget:
                return line
        return self._shortened(path[-1], budget) if path else ""

    def _companion_line(self, number: int | None) -> str:
        """A caption; or the list item, and the sentence that leads to its list."""
        budget = int(self.cap * _COMPANION_SHARE)
        lines = ""
        while number is not None:
            unit = self.units[number]
            text = " ".join(bare(unit.text).split())
            if unit.kind is BlockKind.CAPTION:
                return text if self.count(text) <= budget else self._shortened(text, budget)
            lead = last_sentences(text, partial(self._fits_above, lines, budget), most=1)
            if not lead:
                break
            lines = f"{lead}\n{lines}" if lines else lead
            number = unit.companion
        return lines

    def _fits_above(self, lines: str, budget: int, text: str) -> bool:
        return self.count(f"{text}\n{lines}") <= budget

    def _shortened(self, text: str, budget: int) -> str:
        pieces = split_text(text, lambda a, b: self.count(text[a:b]), lambda _: budget)
        start, end = next(pieces, (0, 0))
        return text[start:end]

    # -- chunks ----------------------------------------------------------------------------

    def _chunks(self, group: list[Piece], before: Chunk | None) -> Iterator[Chunk]:
        """The chunk of a group; more if its parts take more tokens together than alone."""
        while group:
            taken = len(group)
            chunk = self._chunk(group[:taken])
            while chunk.tokens > self.cap and taken > 1:
                taken = max(1, min(taken - 1, taken * self.cap // chunk.tokens))
                chunk = self._chunk(group[:taken])
            if chunk.text.strip():  # else a figure without text or caption
                yield self._overlapping(chunk, group[0], before)
            group, before = group[taken:], None

    def _chunk(self, pieces: Sequence[Piece]) -> Chunk:
        context, _ = self._context(_shown_path(pieces[0]), _companion(pieces))
        text = self._text(pieces)
        spans = self._spans(pieces)
        return Chunk(
            id="",
            document=self.document,
            text=text,
            context=context,
            heading_path=_common_path(pieces),
            kinds=tuple(dict.fromkeys(p.unit.kind for p in pieces)),
            spans=spans,
            tokens=self.count(_join(context, text)),
            ordinal=0,
            language=self._language(pieces[0].unit.page),
        )

    def _overlapping(self, chunk: Chunk, first: Piece, before: Chunk | None) -> Chunk:
        """The chunk with the last sentences of the one before in its context, if they fit."""
        if not self.overlap or before is None or not _follows(before, chunk, first):
            return chunk
        room = min(self.overlap, self.cap - chunk.tokens - self.gap)
        tail = last_sentences(before.text, lambda t: self.count(t) - self.special <= room)
        context = "\n".join(part for part in (chunk.context, tail) if part)
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
        """What the page has between two neighbours if that is only white space.

        Items of a list stand as deep as the first of the chunk, which has lost its indentation.
        """
        a, b = left.places[-1], right.places[0]
        if a.page == b.page and a.ranges and b.ranges:
            between = self.pages[a.page].text[a.ranges[-1][1] : b.ranges[0][0]]
            if 0 < len(between) <= _WIDEST_GAP and between.isspace():
                return re.sub(rf"\n {{1,{indent}}}", "\n", between) if indent else between
        return "\n\n"

    def _indent(self, piece: Piece) -> int:
        """Spaces in front of a piece on its line."""
        place = piece.places[0]
        text = self.pages[place.page].text
        start = place.ranges[0][0] if place.ranges else 0
        line = text[text.rfind("\n", 0, start) + 1 : start]
        return len(line) if line.isspace() else 0

    def _spans(self, pieces: Sequence[Piece]) -> tuple[PageSpan, ...]:
        places = [place for piece in pieces for place in piece.places]
        spans = []
        for number in sorted({place.page for place in places}):
            here = [place for place in places if place.page == number]
            page = self.pages[number]
            spans.append(
                PageSpan(
                    index=page.index,
                    label=page.label,
                    ranges=_merged(page.text, [r for place in here for r in place.ranges]),
                    boxes=tuple(dict.fromkeys(place.box for place in here if place.box)),
                    blocks=tuple(dict.fromkeys(place.block for place in here)),
                    exact=all(place.exact for place in here),
                )
            )
        return tuple(spans)

    def _language(self, page: int) -> str:
        if page not in self._languages:
            self._languages[page] = detect_language(self.pages[page].text)
        return self._languages[page]


def _count(counter: TokenCounter, text: str) -> int:
    return max(counter.count_tokens(text), len(text) // _LONGEST_TOKEN)


def _merged(text: str, ranges: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Ranges with nothing but white space between them as one; empty ones left out."""
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
    """The path above a chunk: a heading in the text itself need not be repeated."""
    return first.unit.path[:-1] if first.unit.rank and not first.part else first.unit.path


def _companion(pieces: Sequence[Piece]) -> int | None:
    """What a chunk's table, figure or list needs that does not stand in the chunk itself."""
    held = {piece.unit.number for piece in pieces}
    for piece in pieces:
        if piece.unit.companion is not None and piece.unit.companion not in held:
            return piece.unit.companion
    return None


def _common_path(pieces: Sequence[Piece]) -> tuple[str, ...]:
    """The headings that all of a chunk's text stands under; of its first, if there is none."""
    paths = [p.unit.path for p in pieces if not p.unit.rank] or [pieces[-1].unit.path]
    common = [
        titles[0] for titles in takewhile(lambda t: len(set(t)) == 1, zip(*paths, strict=False))
    ]
    return tuple(common) or paths[0]


def _follows(before: Chunk, chunk: Chunk, first: Piece) -> bool:
    """Whether a chunk goes on in the text of the one before, on the same page."""
    return (
        first.unit.kind in _OVERLAPPING
        and before.kinds[-1] in _OVERLAPPING
        and before.heading_path == chunk.heading_path
        and before.spans[0].index == chunk.spans[0].index
    )


def _join(context: str, text: str) -> str:
    return f"{context}\n{text}" if context else text
