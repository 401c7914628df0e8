"""Makes documents of any length, and an engine that reads them at almost no cost.

The engine works in processes with limits, as the real ones do.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pymupdf
from PIL import Image

from opticalrag.ingest.core.config import WorkLimits
from opticalrag.ingest.core.records import (
    Block,
    BlockKind,
    Box,
    PageOutcome,
    PageRef,
    PageTask,
    ParsedPage,
)
from opticalrag.ingest.documents.opening import load
from opticalrag.ingest.documents.rendering import render_page
from opticalrag.ingest.system.workers import WorkerPool

__all__ = ["WORKERS", "CheapEngine", "write_document", "write_scans"]

WORKERS = 2
SCAN = (1754, 1240)  # A4 at 150 dpi


class CheapEngine:
    """Reads text layers in worker processes; for scans, makes up the text."""

    name = "cheap"
    fingerprint = "cheap/1"

    def __init__(self, scans: bool) -> None:
        self._read = read_scan if scans else read_text
        self._pool = WorkerPool(WORKERS, WorkLimits())

    def parse(self, tasks: Iterable[PageTask]) -> Iterator[PageOutcome]:
        """Yield a page per task, in order."""
        for outcome in self._pool.map(self._read, tasks):
            assert isinstance(outcome, ParsedPage)  # noqa: S101  no limit is met
            yield outcome

    def close(self) -> None:
        """End the processes."""
        self._pool.close()


def read_text(task: PageTask) -> PageOutcome:
    """Make one block per MuPDF block."""
    page = load(task.source)[task.ref.index]
    return parsed(task.ref, [block[4].strip() for block in page.get_text("blocks")])


def read_scan(task: PageTask) -> PageOutcome:
    """Render a page and make up its text from its page number."""
    image = render_page(load(task.source), task.ref, dpi=150)
    number = int(load(task.source)[task.ref.index].get_text().split()[-1])
    assert image.pixels.any()  # noqa: S101
    return parsed(task.ref, [heading(number), *paragraphs(number)])


def parsed(ref: PageRef, texts: list[str]) -> ParsedPage:
    """A page of text blocks."""
    blocks = [Block(BlockKind.TEXT, Box(0.1, 0.1, 0.9, 0.2), text) for text in texts]
    return ParsedPage(ref, 595.0, 842.0, tuple(blocks), engine="cheap")


def write_document(file: Path, pages: int, first: int = 0) -> None:
    """Make pages of 300 words with different text."""
    with closing(pymupdf.open()) as document:
        for index in range(first, first + pages):
            _write_page(document.new_page(), index)
        document.save(file, deflate=True)


def _write_page(page: Any, index: int) -> None:
    page.insert_text((72, 72), heading(index), fontsize=15)
    for number, lines in enumerate(paragraphs(index)):
        top = 95 + 130 * number
        page.insert_textbox((72, top, 523, top + 120), lines, fontsize=10)


def heading(index: int) -> str:
    """Of a page."""
    return f"{index + 1} Inspection of block {index}"


def paragraphs(index: int) -> list[str]:
    """Of a page."""
    return [
        " ".join(
            f"Turbine {index}.{number}.{n} ran for {7 * index + n} hours without a fault."
            for n in range(7)
        )
        for number in range(5)
    ]


def write_scans(file: Path, pages: int, first: int = 0) -> None:
    """Make pages with one picture each, like a scan, and a page number below."""
    with closing(pymupdf.open()) as document:
        for index in range(first, first + pages):
            page = document.new_page()
            page.insert_image(page.rect, stream=_scan(index))
            page.insert_text((72, 830), f"Page {index}", fontsize=8)
        document.save(file)


def _scan(index: int) -> bytes:
    """Make a unique grey picture of about 100 kB: smooth noise."""
    chance = np.random.default_rng(index)
    small = Image.fromarray(chance.integers(0, 256, (SCAN[0] // 16, SCAN[1] // 16), np.uint8))
    picture = io.BytesIO()
    small.resize(SCAN[::-1], Image.Resampling.BILINEAR).save(picture, "JPEG", quality=30)
    return picture.getvalue()
