"""The records that pass between stages. Frozen, picklable, without vendor types.

Page indices are 0-based; page numbers, which people read and type, are 1-based.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "Attempt",
    "Block",
    "BlockKind",
    "Box",
    "Chunk",
    "DocumentRef",
    "OpticalReading",
    "PageFailure",
    "PageImage",
    "PageOutcome",
    "PageRef",
    "PageSpan",
    "PageTask",
    "ParsedPage",
    "Point",
    "SourceSpec",
    "SparseVector",
    "TableCell",
    "TableGrid",
    "TextSource",
    "Vectors",
    "Word",
]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in fractions of the page *as displayed*, with crop box and rotation applied.

    The origin is the top left corner, x goes right, y goes down; ``0 <= x0 <= x1 <= 1``.
    """

    x0: float
    y0: float
    x1: float
    y1: float

    @classmethod
    def clipped(cls, x0: float, y0: float, x1: float, y1: float) -> Box:
        """Make a box from any fractions: sort them and clip them to the page."""
        left, right = sorted((_unit(x0), _unit(x1)))
        top, bottom = sorted((_unit(y0), _unit(y1)))
        return cls(left, top, right, bottom)

    @property
    def area(self) -> float:
        """Share of the page that the box covers."""
        return (self.x1 - self.x0) * (self.y1 - self.y0)

    def union(self, other: Box) -> Box:
        """The smallest box around both."""
        return Box(
            min(self.x0, other.x0),
            min(self.y0, other.y0),
            max(self.x1, other.x1),
            max(self.y1, other.y1),
        )

    def as_tuple(self) -> tuple[float, float, float, float]:
        """``(x0, y0, x1, y1)``."""
        return (self.x0, self.y0, self.x1, self.y1)


def _unit(value: float) -> float:
    # Rounded so that a box is equal in memory, in JSON and in the store. 1e-5 of the height of
    # an A4 page is 0.008 pt.
    return round(min(1.0, max(0.0, value)), 5)


class BlockKind(str, Enum):
    """The kind of a block.

    ``COMMENT`` is a note or stamp that somebody put onto the page. ``OTHER`` is for labels of an
    engine that match no other kind.
    """

    TITLE = "title"
    HEADING = "heading"
    TEXT = "text"
    LIST_ITEM = "list_item"
    TABLE = "table"
    FIGURE = "figure"
    CAPTION = "caption"
    FORMULA = "formula"
    CODE = "code"
    FOOTNOTE = "footnote"
    PAGE_HEADER = "page_header"
    PAGE_FOOTER = "page_footer"
    COMMENT = "comment"
    OTHER = "other"


class TextSource(str, Enum):
    """The source of a block's characters."""

    TEXT_LAYER = "text_layer"
    OCR = "ocr"
    MODEL = "model"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a page's text layer and its box."""

    text: str
    box: Box


@dataclass(frozen=True, slots=True)
class TableCell:
    """A cell of a table. ``row`` and ``col`` are the 0-based indices of its top left slot."""

    row: int
    col: int
    text: str
    row_span: int = 1
    col_span: int = 1
    box: Box | None = None


@dataclass(frozen=True, slots=True)
class TableGrid:
    """A table as cells on a ``rows`` x ``cols`` grid. Slots that no cell covers are empty."""

    rows: int
    cols: int
    cells: tuple[TableCell, ...]
    header_rows: int = 0

    @property
    def has_spans(self) -> bool:
        """Whether any cell covers more than one slot."""
        return any(c.row_span > 1 or c.col_span > 1 for c in self.cells)


@dataclass(frozen=True, slots=True)
class Block:
    """A region of a page with its content, such as a paragraph or a table.

    ``text`` is plain text, LaTeX for a formula if the engine provides it, and empty for a table.
    ``level`` is the 1-based depth of a title, heading or list item, 0 for other kinds.
    ``raw_kind`` is the engine's own label.
    """

    kind: BlockKind
    box: Box
    text: str = ""
    level: int = 0
    table: TableGrid | None = None
    source: TextSource = TextSource.TEXT_LAYER
    raw_kind: str = ""


@dataclass(frozen=True, slots=True)
class DocumentRef:
    """A document: its id (see :func:`.identity.document_id`) and the sha256 of the file's bytes.

    ``uri`` is the location of the file; empty if it has none.
    """

    id: str
    sha256: str
    name: str
    uri: str
    page_count: int
    media_type: str = "application/pdf"
    title: str = ""


@dataclass(frozen=True, slots=True)
class PageRef:
    """A page of a document. ``label`` is the page label from the file, e.g. ``"iv"``."""

    document: DocumentRef
    index: int
    label: str

    @property
    def number(self) -> int:
        """The 1-based page number."""
        return self.index + 1


Stamp = tuple[int, int]
"""Modification time of a file in nanoseconds, and its size in bytes."""


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """How any process can open a document again: with a ``stamp``, only if it did not change.

    The password never appears in a repr.
    """

    path: Path
    password: str | None = field(default=None, repr=False)
    stamp: Stamp | None = None

    @property
    def unstamped(self) -> SourceSpec:
        """The same source without a stamp."""
        return SourceSpec(self.path, self.password)


@dataclass(frozen=True, slots=True)
class PageTask:
    """A page to parse, and how to open its document."""

    source: SourceSpec
    ref: PageRef


@dataclass(frozen=True, slots=True)
class PageImage:
    """A rendered page, as displayed. Shape: ``pixels`` is uint8 ``[height, width, 3]``, RGB.

    Units: the fields ``width`` and ``height`` are in points (1/72 inch). ``mended`` says that
    the file was damaged and had to be repaired, ``placeholder`` that the file is an XFA form whose
    content is not on the page.
    """

    ref: PageRef
    pixels: NDArray[np.uint8]
    width: float
    height: float
    words: tuple[Word, ...] = ()
    mended: bool = False
    placeholder: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of an optical engine to read a page.

    ``finish_reason`` is a :data:`.vision.FinishReason`, ``flags`` are of :class:`.flags.Flag`.
    """

    mode: str
    prompt: str
    finish_reason: str
    output_tokens: int
    vision_tokens: int
    seconds: float
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OpticalReading:
    """How an optical engine read a page.

    ``expected_tokens``, the text estimated before reading, determined the mode. ``chosen`` is the
    index of the attempt whose text was used, or None if the text layer replaced all attempts.
    """

    model: str
    expected_tokens: int
    columns: int
    attempts: tuple[Attempt, ...]
    chosen: int | None

    @property
    def compression(self) -> float:
        """Expected text tokens per vision token of the first attempt."""
        tokens = self.attempts[0].vision_tokens if self.attempts else 0
        return self.expected_tokens / tokens if tokens else 0.0


@dataclass(frozen=True, slots=True)
class ParsedPage:
    """A page that an engine has read: blocks in reading order.

    ``width`` and ``height`` are in points (1/72 inch), as displayed. ``flags`` are of
    :class:`.flags.Flag`. ``watermarks`` are printed across the text and in no block.
    """

    ref: PageRef
    width: float
    height: float
    blocks: tuple[Block, ...]
    engine: str
    flags: tuple[str, ...] = ()
    seconds: float = 0.0
    optical: OpticalReading | None = None
    watermarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PageFailure:
    """Why a page, or a whole document (``index`` is None), has no result."""

    file: str
    index: int | None
    code: str
    message: str
    document_id: str = ""

    @classmethod
    def of(cls, ref: PageRef, code: str, message: str) -> PageFailure:
        """Make the failure of one page."""
        document = ref.document
        return cls(document.uri or document.name, ref.index, code, message, document.id)

    @property
    def number(self) -> int | None:
        """The 1-based page number, or None for a whole document."""
        return None if self.index is None else self.index + 1


PageOutcome = ParsedPage | PageFailure


@dataclass(frozen=True, slots=True)
class PageSpan:
    """The part of one page that a chunk contains.

    ``ranges`` are character offsets into the page's Markdown, in reading order. Joined by line
    breaks, the slices have exactly the chunk's words. ``boxes`` enclose that part; ``exact`` is
    False if a box is interpolated inside a larger block. ``blocks`` are indices into
    :attr:`ParsedPage.blocks`.
    """

    index: int
    label: str
    ranges: tuple[tuple[int, int], ...]
    boxes: tuple[Box, ...]
    blocks: tuple[int, ...]
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Chunk:
    """The unit of retrieval.

    ``context`` makes the text understandable on its own: it repeats headings, a table's caption,
    the sentence that leads to a list, the end of the previous chunk. ``text`` is the slices of
    the spans, but words split by a page break are joined, tables are pipes with column names and
    with spans written out, and split pairs of delimiters are completed. ``tokens`` is the exact
    size of :attr:`embedded_text` with special tokens. ``language`` is an ISO 639-1 code, or empty.
    """

    id: str
    document: DocumentRef
    text: str
    context: str
    heading_path: tuple[str, ...]
    kinds: tuple[BlockKind, ...]
    spans: tuple[PageSpan, ...]
    tokens: int
    ordinal: int
    language: str = ""

    @property
    def embedded_text(self) -> str:
        """Context and text as the embedder gets them."""
        return f"{self.context}\n{self.text}" if self.context else self.text

    @property
    def pages(self) -> tuple[int, ...]:
        """1-based numbers of the chunk's pages, sorted."""
        return tuple(sorted({span.index + 1 for span in self.spans}))


SparseVector = tuple[list[int], list[float]]
"""Indices and values of a sparse vector."""


@dataclass(frozen=True, slots=True)
class Point:
    """A stored chunk: id (a uuid), payload (see :mod:`.schema`) and vectors (as in Vectors)."""

    id: str
    payload: dict[str, object]
    dense: NDArray[np.float32]
    sparse: SparseVector


@dataclass(frozen=True, slots=True)
class Vectors:
    """The vectors of a stored text. Shape: ``dense`` is float32 ``[dimension]``, unit length."""

    dense: NDArray[np.float32]
    sparse: SparseVector
