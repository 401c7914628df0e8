"""Pages of a document to chunks: bounded by tokens, led by headings, traceable to the page.

Knows nothing of PDFs, models or stores: it sees located Markdown and something that counts.
The cap holds by construction: every piece is counted together with its context before it is
accepted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, takewhile

from .config import ChunkingConfig
from .identity import chunk_id
from .markdown import BlockSpan, PageMarkdown
from .protocols import TokenCounter
from .splitting import split_text
from .types import BlockKind, Box, Chunk, DocumentRef, PageSpan

__all__ = ["chunk_pages"]

_PATH_SEPARATOR = " > "
_HEADINGS = frozenset({BlockKind.TITLE, BlockKind.HEADING})
# The context may take this share of the cap; the rest is for text.
_CONTEXT_SHARE = 0.33
# A table header that takes more is not repeated: rows would not fit beside it.
_HEADER_SHARE = 0.66
# A section shorter than this share of the target is merged with the next of its rank.
_SMALL_SECTION = 0.5


@dataclass(frozen=True, slots=True)
class _Atom:
    """A piece that is not cut further: a block, or a part of one too long for a chunk."""

    page: int  # place in the sequence of pages
    start: int
    end: int
    block: BlockSpan
    path: tuple[str, ...]  # headings it stands under; for a heading, itself included
    rank: int = 0  # depth of a heading, 0 for all else
    box: Box | None = None
    exact: bool = True
    repeat: str = ""  # header of a table, for pieces that do not hold it
    alone: bool = False  # a part of a larger block: shares a chunk with nothing
    lead: _Atom | None = None  # the first of the headings right above it on its page


def chunk_pages(
    document: DocumentRef,
    pages: Sequence[PageMarkdown],
    counter: TokenCounter,
    config: ChunkingConfig | None = None,
) -> list[Chunk]:
    """Chunk a document.

    Args:
        document: the document the pages are from.
        pages: its pages in order, as Markdown with located blocks.
        counter: counts tokens as the embedder will.
        config: sizes; None for the defaults.

    Returns:
        Chunks in reading order. No chunk's ``tokens`` exceeds the cap; all text of the pages is
        in exactly one chunk (contexts repeat some of it).
    """
    return _Chunker(document, pages, counter, config or ChunkingConfig()).run()


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
        self.count = counter.count_tokens
        self.cap = min(config.max_tokens or counter.max_tokens, counter.max_tokens)
        self.target = min(config.target_tokens or self.cap, self.cap)
        self._contexts: dict[tuple[str, ...], str] = {}

    def run(self) -> list[Chunk]:
        """Cut, pack, and number."""
        repeats: Counter[tuple[int, str]] = Counter()
        chunks: list[Chunk] = []
        for atoms in self._pack(self._atoms()):
            if not self._body(atoms).strip():
                continue  # a figure without text or caption
            chunk = self._chunk(atoms, len(chunks))
            key = (chunk.spans[0].index, chunk.embedded_text)
            chunks.append(
                replace(chunk, id=chunk_id(self.document.id, key[0], repeats[key], key[1]))
            )
            repeats[key] += 1
        return chunks

    # -- cutting ---------------------------------------------------------------------------

    def _atoms(self) -> Iterator[_Atom]:
        path: list[tuple[int, str]] = []
        for number, page in enumerate(self.pages):
            lead: _Atom | None = None
            for block in page.blocks:
                rank = _rank(block)
                if rank:
                    while path and path[-1][0] >= rank:
                        path.pop()
                    path.append((rank, _heading_text(page.text[block.start : block.end])))
                titles = tuple(title for _, title in path)
                atom = _Atom(number, block.start, block.end, block, titles, rank, block.box)
                yield from self._fit(replace(atom, lead=lead))
                lead = (lead or atom) if rank else None

    def _fit(self, atom: _Atom) -> Iterator[_Atom]:
        if self._fits(atom, atom.start, atom.end):
            yield atom
        elif atom.block.rows:
            yield from self._split_table(atom)
        else:
            yield from self._split_block(atom)

    def _fits(self, atom: _Atom, start: int, end: int) -> bool:
        text = self.pages[atom.page].text
        alone = self.count(_join(self._context(atom.path, atom.repeat), text[start:end]))
        if alone > self.cap or start > atom.block.start or not self._leads(atom):
            return alone <= self.cap
        # The first piece of a section shares its chunk with the headings above it.
        lead = atom.lead or atom
        context = self._context(lead.path[:-1])
        return self.count(_join(context, text[lead.start : end])) <= self.cap

    def _leads(self, atom: _Atom) -> bool:
        """Whether the headings above a block are short enough to make room for."""
        if atom.lead is None:
            return False
        heading = self.pages[atom.page].text[atom.lead.start : atom.block.start]
        return self.count(heading) <= self.cap * _CONTEXT_SHARE

    def _split_block(self, atom: _Atom) -> Iterator[_Atom]:
        text = self.pages[atom.page].text[atom.start : atom.end]
        for start, end in split_text(
            text, lambda a, b: self._fits(atom, atom.start + a, atom.start + b)
        ):
            yield _part(atom, atom.start + start, atom.start + end)

    def _split_table(self, atom: _Atom) -> Iterator[_Atom]:
        """Cut between rows; the header is repeated in every piece but the first."""
        header = self.pages[atom.page].text[atom.start : atom.block.header_end]
        if self.count(_join(self._context(atom.path), header)) > self.cap * _HEADER_SHARE:
            yield from self._split_block(atom)  # a header that leaves no room for rows
            return
        piece: _Atom | None = None
        for start, end in _row_units(atom):
            longer = piece and replace(piece, end=end, box=None)
            if piece and longer and self._fits(longer, longer.start, end):
                piece = _table_part(atom, piece.start, end, header)
                continue
            if piece:
                yield piece
            piece = _table_part(atom, start, end, header)
            if not self._fits(piece, start, end):
                for cut in self._split_block(piece):
                    yield _table_part(atom, cut.start, cut.end, header)
                piece = None
        if piece:
            yield piece

    # -- packing ---------------------------------------------------------------------------

    def _pack(self, atoms: Iterator[_Atom]) -> Iterator[list[_Atom]]:
        """Group atoms into chunks; hold back headings until something follows them."""
        group: list[_Atom] = []
        for atom in atoms:
            if group and not self._joins(group, atom):
                keep, carry = _split_off_headings(group, atom)
                if keep:
                    yield keep
                group = carry if self._room(carry, atom) else []
                if carry and not group:
                    yield carry
            group.append(atom)
        if group:
            yield group

    def _joins(self, group: list[_Atom], atom: _Atom) -> bool:
        if atom.alone or group[-1].alone:
            return all(a.rank for a in group) and self._room(group, atom)
        if atom.rank and not all(a.rank for a in group):
            return self._merges_section(group, atom)
        return self._room(group, atom, self._limit(group, atom))

    def _limit(self, group: list[_Atom], atom: _Atom) -> int:
        # A caption stays with its figure or table up to the cap, not only the target.
        pair = {group[-1].block.kind, atom.block.kind}
        bound = BlockKind.CAPTION in pair and pair & {BlockKind.FIGURE, BlockKind.TABLE}
        return self.cap if bound else self.target

    def _merges_section(self, group: list[_Atom], atom: _Atom) -> bool:
        """Whether a new section may follow a small one: never across a higher heading."""
        ranks = {a.rank for a in group if a.rank}
        # Below the highest heading of the group, or beside it where all are of one rank.
        follows = bool(ranks) and (atom.rank > min(ranks) or ranks == {atom.rank})
        # On one page only: a chunk of two sections is cited by the page it starts on.
        near = atom.page == group[-1].page
        small = self.count(self._text_of(group)) < self.target * _SMALL_SECTION
        return follows and near and small and self._room(group, atom, self.target)

    def _room(self, group: list[_Atom], atom: _Atom, limit: int | None = None) -> bool:
        return self.count(self._text_of([*group, atom])) <= (limit or self.cap)

    # -- building --------------------------------------------------------------------------

    def _text_of(self, atoms: list[_Atom]) -> str:
        return _join(self._group_context(atoms), self._body(atoms))

    def _body(self, atoms: list[_Atom]) -> str:
        return "\n\n".join(self.pages[page].text[a:b] for page, a, b in _slices(atoms))

    def _group_context(self, atoms: list[_Atom]) -> str:
        first = atoms[0]
        # A heading in the text itself need not be repeated above it.
        path = first.path[:-1] if first.rank and not first.alone else first.path
        repeat = next((a.repeat for a in atoms if a.repeat), "")
        return self._context(path, repeat)

    def _context(self, path: tuple[str, ...], repeat: str = "") -> str:
        heading = self._contexts.get(path)
        if heading is None:
            heading = self._contexts[path] = self._bounded_path(path)
        return "\n".join(part for part in (heading, repeat) if part)

    def _bounded_path(self, path: tuple[str, ...]) -> str:
        """The path as a line; outer headings go first when it is too long."""
        budget = int(self.cap * _CONTEXT_SHARE)
        for first in range(len(path)):
            line = _PATH_SEPARATOR.join(path[first:])
            if self.count(line) <= budget:
                return line
        if not path:
            return ""
        last = path[-1]
        start, end = next(split_text(last, lambda a, b: self.count(last[a:b]) <= budget), (0, 0))
        return last[start:end]

    def _chunk(self, atoms: list[_Atom], ordinal: int) -> Chunk:
        return Chunk(
            id="",
            document=self.document,
            text=self._body(atoms),
            context=self._group_context(atoms),
            heading_path=_common_path(atoms),
            kinds=tuple(dict.fromkeys(a.block.kind for a in atoms)),
            spans=tuple(self._spans(atoms)),
            tokens=self.count(self._text_of(atoms)),
            ordinal=ordinal,
        )

    def _spans(self, atoms: list[_Atom]) -> Iterator[PageSpan]:
        slices = {page: (start, end) for page, start, end in _slices(atoms)}
        for number, group in groupby(atoms, key=lambda a: a.page):
            members = list(group)
            page = self.pages[number]
            start, end = slices.get(number, (members[0].start, members[0].start))
            yield PageSpan(
                index=page.index,
                label=page.label,
                start=start,
                end=end,
                boxes=tuple(dict.fromkeys(a.box for a in members if a.box)),
                blocks=tuple(dict.fromkeys(a.block.index for a in members)),
                exact=all(a.exact for a in members),
            )


def _rank(block: BlockSpan) -> int:
    if block.kind is BlockKind.TITLE:
        return 1
    return max(block.level, 1) + 1 if block.kind is BlockKind.HEADING else 0


def _heading_text(markdown: str) -> str:
    return re.sub(r"^#{1,6}\s+", "", markdown).strip()


def _common_path(atoms: Sequence[_Atom]) -> tuple[str, ...]:
    """The headings that all of a chunk's text stands under; of its first, if there is none."""
    paths = [a.path for a in atoms if not a.rank] or [atoms[-1].path]
    common = [
        titles[0] for titles in takewhile(lambda t: len(set(t)) == 1, zip(*paths, strict=False))
    ]
    return tuple(common) or paths[0]


def _join(context: str, text: str) -> str:
    return f"{context}\n{text}" if context else text


def _slices(atoms: Sequence[_Atom]) -> Iterator[tuple[int, int, int]]:
    """One contiguous slice per page: blocks between the first and last are in the group."""
    for page, group in groupby(atoms, key=lambda a: a.page):
        members = [a for a in group if a.end > a.start]  # figures may hold no text
        if members:
            yield page, members[0].start, members[-1].end


def _row_units(atom: _Atom) -> Iterator[tuple[int, int]]:
    """Ranges that cover the table: its header, each row, and what closes it with the last."""
    yield atom.start, atom.block.header_end
    yield from atom.block.rows[:-1]
    yield atom.block.rows[-1][0], atom.end


def _split_off_headings(group: list[_Atom], following: _Atom) -> tuple[list[_Atom], list[_Atom]]:
    """Take headings that end a group and lead to ``following`` over to the next one."""
    cut = len(group)
    while (
        cut
        and group[cut - 1].rank
        and not group[cut - 1].alone
        and (not following.rank or group[cut - 1].rank < following.rank)
    ):
        cut -= 1
    return group[:cut], group[cut:]


def _part(atom: _Atom, start: int, end: int) -> _Atom:
    """A part of a block: its box is the share of the block's height its characters take."""
    box = atom.block.box
    if box is not None:
        box = _share(box, atom.block, start, end)
    return replace(atom, start=start, end=end, box=box, exact=box is None, alone=True)


def _table_part(atom: _Atom, start: int, end: int, header: str) -> _Atom:
    block = atom.block
    repeat = header if start >= block.header_end else ""
    if start == block.start and end == block.end:
        return atom
    box = block.box
    if box is not None and block.rows:
        # Rows are taken to be of equal height, the header being one more.
        first = sum(1 for _, row_end in block.rows if row_end <= start)
        last = sum(1 for row_start, _ in block.rows if row_start < end)
        total = len(block.rows) + 1
        top = 0.0 if start < block.header_end else (first + 1) / total
        height = box.y1 - box.y0
        box = Box.clipped(
            box.x0, box.y0 + height * top, box.x1, box.y0 + height * (last + 1) / total
        )
    return replace(
        atom, start=start, end=end, box=box, exact=box is None, alone=True, repeat=repeat
    )


def _share(box: Box, block: BlockSpan, start: int, end: int) -> Box:
    length = max(block.end - block.start, 1)
    height = box.y1 - box.y0
    return Box.clipped(
        box.x0,
        box.y0 + height * (start - block.start) / length,
        box.x1,
        box.y0 + height * (end - block.start) / length,
    )
