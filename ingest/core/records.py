"""The records that pass between stages. Frozen, free of vendor types, picklable.

Coordinates: every :class:`Box` is in fractions of the page *as displayed* (crop box and
rotation applied), origin top left, x to the right, y down. Page indices are 0-based here and
1-based wherever a person reads or types them.
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
    """A rectangle on a page.

    Units: fractions of the displayed page, origin top left; ``0 <= x0 <= x1 <= 1``.
    """

    x0: float
    y0: float
    x1: float
    y1: float

    @classmethod
    def clipped(cls, x0: float, y0: float, x1: float, y1: float) -> Box:
        """Make a box from fractions in any order and range: sorted and cut to the page."""
        left, right = sorted((_unit(x0), _unit(x1)))
        top, bottom = sorted((_unit(y0), _unit(y1)))
        return cls(left, top, right, bottom)

    @property
    def area(self) -> float:
        """Share of the page covered."""
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
    # Rounded so that a box is the same in memory, in JSON and in the store; 1e-5 of an A4
    # page is 0.008 pt.
    return round(min(1.0, max(0.0, value)), 5)


class BlockKind(str, Enum):
    """What a laid-out element is. What an engine calls otherwise becomes ``OTHER``."""

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
    OTHER = "other"


class TextSource(str, Enum):
    """Where the characters of a block come from."""

    TEXT_LAYER = "text_layer"
    OCR = "ocr"
    MODEL = "model"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a page's text layer and where it stands."""

    text: str
    box: Box


@dataclass(frozen=True, slots=True)
class TableCell:
    """One cell of a table. ``row`` and ``col`` are 0-based and name its upper left slot."""

    row: int
    col: int
    text: str
    row_span: int = 1
    col_span: int = 1
    box: Box | None = None


@dataclass(frozen=True, slots=True)
class TableGrid:
    """A table as cells on a ``rows`` x ``cols`` grid; slots no cell covers are empty."""

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
    """A laid-out element of a page.

    ``text`` is plain text in reading order (for a table: empty, see ``table``; for a formula:
    LaTeX where the engine gives it). ``level`` is 1-based: heading depth for titles and
    headings, nesting for list items, 0 for all else. ``raw_kind`` keeps the engine's own label.
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
    """A document.

    ``sha256`` is of the file's bytes, ``uri`` is where it was read from, or empty. ``id`` names
    the document in the index (see :func:`.identity.document_id`).
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
    """One page of a document. ``label`` is the number printed in the file, e.g. ``"iv"``."""

    document: DocumentRef
    index: int
    label: str

    @property
    def number(self) -> int:
        """The 1-based page number people use."""
        return self.index + 1


Stamp = tuple[int, int]
"""Time of the last change of a file, in nanoseconds, and its size in bytes."""


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """How any process can open a document again. The password never appears in a repr.

    With a ``stamp`` only the very file that was looked at first is opened.
    """

    path: Path
    password: str | None = field(default=None, repr=False)
    stamp: Stamp | None = None

    @property
    def unstamped(self) -> SourceSpec:
        """The same, whatever became of the file."""
        return SourceSpec(self.path, self.password)


@dataclass(frozen=True, slots=True)
class PageTask:
    """One page to parse: which page, and how to open it."""

    source: SourceSpec
    ref: PageRef


@dataclass(frozen=True, slots=True)
class PageImage:
    """A drawn page.

    Shape: ``pixels`` is uint8 ``[height, width, 3]``, RGB, as displayed. ``width``, ``height``:
    points (1/72 inch) of the page as displayed. ``mended``: its file was damaged.
    """

    ref: PageRef
    pixels: NDArray[np.uint8]
    width: float
    height: float
    words: tuple[Word, ...] = ()
    mended: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of an optical engine at a page.

    ``finish_reason`` is ``"eos"``, ``"length"`` or ``"loop"``; ``flags`` are what
    :func:`.quality.assess` held against the result.
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

    ``expected_tokens`` is the text thought to be on the page before it was read, which decided
    the mode. ``chosen`` is the index of the attempt whose text was kept, or None where all
    were dropped for the text layer.
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
    """A page read by an engine: blocks in reading order.

    ``width`` and ``height`` are of the displayed page in points (1/72 inch). ``flags`` are
    remarks on quality, e.g. ``"ocr"``, ``"rotated_90"``, ``"text_layer_garbled"``. ``optical``
    is the record of an optical engine.
    """

    ref: PageRef
    width: float
    height: float
    blocks: tuple[Block, ...]
    engine: str
    flags: tuple[str, ...] = ()
    seconds: float = 0.0
    optical: OpticalReading | None = None


@dataclass(frozen=True, slots=True)
class PageFailure:
    """A page, or a whole document (``index`` is None), that gave no result, and why."""

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
    """The part of one page that a chunk holds.

    ``ranges`` are character offsets into the page's Markdown (see
    :func:`opticalrag.ingest.markdown.render.page_markdown`), in reading order: joined by line
    breaks, the slices hold the chunk's words and nothing else. ``boxes`` enclose exactly that
    part; where they are interpolated inside a larger block, ``exact`` is False. ``blocks`` are
    indices into :attr:`ParsedPage.blocks`.
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

    ``context`` repeats what the text needs to be understood alone: headings, the caption of a
    table, the sentence that leads to a list, the end of the chunk before. ``text`` is what the
    spans hold, as it is best read: mostly the slices themselves, but words cut by a page break
    are joined, tables are pipes with their column names and spans written out, and delimiters
    cut apart are closed. What is embedded is :attr:`embedded_text`, and ``tokens`` counts exactly
    that, special tokens included. ``language`` is an ISO 639-1 code, or empty.
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
        """Context and text as the embedder sees them."""
        return f"{self.context}\n{self.text}" if self.context else self.text

    @property
    def pages(self) -> tuple[int, ...]:
        """1-based numbers of the pages the chunk stands on, sorted."""
        return tuple(sorted({span.index + 1 for span in self.spans}))


SparseVector = tuple[list[int], list[float]]
"""Indices and values of a sparse vector."""


@dataclass(frozen=True, slots=True)
class Point:
    """A chunk as it is stored: id (a uuid), payload (see :mod:`.schema`) and its vectors.

    Shape: ``dense`` is float32 ``[dimension]``, unit length.
    """

    id: str
    payload: dict[str, object]
    dense: NDArray[np.float32]
    sparse: SparseVector


@dataclass(frozen=True, slots=True)
class Vectors:
    """What is stored to find a text by.

    Shape: ``dense`` is float32 ``[dimension]``, unit length.
    """

    dense: NDArray[np.float32]
    sparse: SparseVector
