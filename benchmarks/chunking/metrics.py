"""Scores chunks by what they break or lose. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opticalrag.ingest.core.records import Block, BlockKind

if TYPE_CHECKING:
    from ..peers.protocol import Piece
    from .inputs import AtomTruth, Source, TableTruth

__all__ = ["Score", "score", "words"]

CAP = 256
# [CLS] and [SEP], which a tokenizer's own count leaves out.
SPECIAL = 2

_WORD = re.compile(r"[^\W_]+")
_FENCE = re.compile(r"^\s*(`{3,})", re.MULTILINE)

CountTokens = Callable[[str], int]


def words(text: str) -> list[str]:
    """The lower-case words of a text, without punctuation and markup."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


@dataclass
class Share:
    """A count and its total."""

    hits: float = 0
    of: int = 0

    def add(self, hit: float) -> None:
        """Count one more item."""
        self.hits += hit
        self.of += 1

    @property
    def value(self) -> float | None:
        """The share; None if the total is 0."""
        return self.hits / self.of if self.of else None


@dataclass
class Score:
    """Shares by name, and the length of the longest chunk in tokens."""

    shares: defaultdict[str, Share] = field(default_factory=lambda: defaultdict(Share))
    longest: int = 0

    def as_json(self) -> dict[str, Any]:
        """Every share and its total, as JSON values."""
        shares = {
            name: {"share": share.value, "of": share.of}
            for name, share in sorted(self.shares.items())
        }
        return {"longest_chunk_tokens": self.longest, **shares}


def score(
    sources: Sequence[Source],
    pieces: Mapping[str, Sequence[Piece]],
    count: CountTokens,
    *,
    same_reading: bool = True,
) -> Score:
    """Score the pieces that a chunker made from sources.

    Args:
        sources: the sources that it accepted.
        pieces: its pieces by name of the source.
        count: counts the tokens of a text as the embedder does.
        same_reading: whether the chunker got our parsed pages and so lost any missing text itself.
    """
    result = Score()
    for source in sources:
        made = pieces.get(source.name, ())
        for piece in made:
            _score_piece(result, piece, count(piece.embedded))
        bags = [(piece, set(words(piece.embedded))) for piece in made]
        for table in source.tables:
            _score_table(result, table, [bag for _, bag in bags])
        for atom in source.atoms:
            _score_atom(result, atom, bags, count)
        if same_reading:
            _score_loss(result, source, made)
    return result


def _score_piece(result: Score, piece: Piece, tokens: int) -> None:
    result.longest = max(result.longest, tokens)
    result.shares["over_cap"].add(tokens > CAP)
    result.shares["over_cap_by_more_than_specials"].add(tokens > CAP + SPECIAL)
    result.shares["without_page"].add(not piece.pages)


def _score_table(result: Score, table: TableTruth, bags: Iterable[set[str]]) -> None:
    header = frozenset().union(*(column.header for column in table.columns))
    for bag in bags:
        held = [column for column in table.columns if column.body & bag]
        if not held:
            continue
        result.shares["table_pieces_without_header"].add(not header <= bag)
        unnamed = any(not column.header <= bag for column in held)
        result.shares["table_pieces_without_header_of_columns"].add(unnamed)
        if table.caption:
            result.shares["table_pieces_without_caption"].add(not table.caption <= bag)


def _score_atom(
    result: Score, atom: AtomTruth, bags: Sequence[tuple[Piece, set[str]]], count: CountTokens
) -> None:
    held = [piece for piece, bag in bags if bag & atom.ids]
    name = "formulas" if atom.kind is BlockKind.FORMULA else "code"
    if count(atom.markdown) <= CAP:
        whole = _squeezed(atom.text)
        stands = any(whole in _squeezed(piece.embedded) for piece in held)
        result.shares[f"{name}_cut"].add(not stands)
    for piece in held:
        result.shares[f"{name}_unbalanced"].add(_is_unbalanced(piece.embedded))


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def _is_unbalanced(text: str) -> bool:
    return bool(text.count("$$") % 2 or len(_FENCE.findall(text)) % 2)


def _score_loss(result: Score, source: Source, made: Iterable[Piece]) -> None:
    """The words of the blocks that no chunk contains, once per missing occurrence."""
    given = Counter(
        word for _, blocks in source.blocks() for block in blocks for word in words(_text(block))
    )
    lost = given - Counter(word for piece in made for word in words(piece.embedded))
    total = sum(given.values())
    if total:
        share = result.shares["words_lost"]
        share.hits += sum(lost.values())
        share.of += total
        result.shares["documents_with_loss"].add(bool(lost))


def _text(block: Block) -> str:
    cells = block.table.cells if block.table else ()
    return "\n".join([block.text, *(cell.text for cell in cells)])
